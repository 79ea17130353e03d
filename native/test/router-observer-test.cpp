// What the observer reads equals what cb_eval sees in the same batches, and what the counters and frames make of it.
#include "check.h"
#include "decode-harness.h"

#include <cstdlib>

using namespace moebius_test;
using moebius::observed_routes;

namespace {

constexpr int layers = 4, experts = 32, used = 2;

// ids and final weights of every layer, seen by llama.cpp's own callback: [layer] -> [row of the graph][k]
struct callback_log {
    std::vector<int32_t> ids[layers];
    std::vector<float>   weights[layers];
};

void copy_ids(const ggml_tensor * t, std::vector<int32_t> & into) {
    for (int64_t row = 0; row < t->ne[1]; ++row) {
        const auto * from = reinterpret_cast<const int32_t *>(static_cast<const char *>(t->data) + row * t->nb[1]);
        into.insert(into.end(), from, from + t->ne[0]);
    }
}

bool on_node(ggml_tensor * t, bool ask, void * data) {
    const std::string name    = t->name;
    const bool        is_topk = name.rfind("ffn_moe_topk-", 0) == 0;
    const bool        is_norm = name.rfind("ffn_moe_weights_norm-", 0) == 0;
    if (!ask && (is_topk || is_norm)) {
        const int layer = std::atoi(name.c_str() + name.rfind('-') + 1);
        auto &    log   = *static_cast<callback_log *>(data);
        if (is_topk) {
            copy_ids(t, log.ids[layer]);
        } else {
            const auto * from = static_cast<const float *>(t->data);
            log.weights[layer].insert(log.weights[layer].end(), from, from + ggml_nelements(t));
        }
    }
    return is_topk || is_norm || !ask;
}

llama_context_params parameters_of_test() {
    return moebius::decode_context_parameters(load_tiny().get(), tiny_options());
}

// a batch over two sequences: tokens with their positions, logits of the last token of each
struct test_batch {
    llama_batch           batch = llama_batch_init(256, 0, 1);
    std::vector<uint32_t> outputs;
    void add(llama_token token, llama_pos pos, llama_seq_id sequence, bool output) {
        const int n          = batch.n_tokens++;
        batch.token[n]       = token;
        batch.pos[n]         = pos;
        batch.n_seq_id[n]    = 1;
        batch.seq_id[n][0]   = sequence;
        batch.logits[n]      = output;
        if (output) {
            outputs.push_back(uint32_t(n));
        }
    }
    void clear() {
        batch.n_tokens = 0;
        outputs.clear();
    }
    ~test_batch() { llama_batch_free(batch); }
};

// Row r of the last layer's graph belongs to output token r when fewer rows than tokens were computed.
void compare(const observed_routes & routes, const callback_log & log, const test_batch & b) {
    const size_t tokens = size_t(b.batch.n_tokens);
    CHECK_EQUAL(routes.tokens, tokens);
    for (size_t layer = 0; layer < layers; ++layer) {
        const size_t rows = log.ids[layer].size() / used;
        CHECK(rows == tokens || rows == b.outputs.size());
        for (size_t row = 0; row < rows; ++row) {
            const size_t token = rows == tokens ? row : b.outputs[row];
            for (size_t k = 0; k < used; ++k) {
                const size_t at = (token * layers + layer) * used + k;
                CHECK_EQUAL(int(routes.experts[at]), log.ids[layer][row * used + k]);
                CHECK_EQUAL(routes.weights[at], log.weights[layer][row * used + k]);
            }
        }
        size_t skipped = 0;
        for (size_t token = 0; token < tokens; ++token) {
            skipped += routes.experts[(token * layers + layer) * used] == observed_routes::not_computed;
        }
        CHECK_EQUAL(skipped, tokens - rows);
    }
}

void check_against_callback() {
    const llama_model_ptr    model = load_tiny();
    moebius::router_observer observer(moebius::router_shape_from(inspect_tiny()));
    llama_context_params     observed = parameters_of_test();
    observer.attach(observed);
    llama_context_ptr    with_hook(llama_init_from_model(model.get(), observed));
    callback_log         log;
    llama_context_params called = parameters_of_test();
    called.cb_eval              = on_node;
    called.cb_eval_user_data    = &log;
    llama_context_ptr with_callback(llama_init_from_model(model.get(), called));
    CHECK(observer.sees_router());

    test_batch b;
    const auto both = [&] {
        for (auto & list : log.ids) { list.clear(); }
        for (auto & list : log.weights) { list.clear(); }
        CHECK_EQUAL(llama_decode(with_callback.get(), b.batch), 0);
        CHECK_EQUAL(llama_decode(with_hook.get(), b.batch), 0);
        compare(observer.read(with_hook.get(), uint32_t(b.batch.n_tokens), b.outputs), log, b);
    };
    for (int i = 0; i < 60; ++i) {  // two prompts in one batch
        b.add(300 + 7 * i, i % 30, i / 30, i == 29 || i == 59);
    }
    both();
    for (int step = 0; step < 6; ++step) {  // decoding: the graph is reused
        b.clear();
        b.add(500 + step, 30 + step, 0, true);
        b.add(900 + step, 30 + step, 1, true);
        both();
    }
    b.clear();
    for (int i = 0; i < 40; ++i) {  // a prompt chunk without outputs, then decoding again
        b.add(1000 + i, i, 2, false);
    }
    both();
    b.clear();
    b.add(77, 36, 0, true);
    both();
}

void check_frames() {
    tiny_engine      tiny;
    const std::string prompt = "In the beginning God created";
    const json       basis  = { { "prompt", prompt }, { "maxTokens", 20 }, { "routes", true }, { "sampling", greedy() } };
    const reply_seen reply  = tiny.ask(basis);
    const size_t     count  = reply.result["promptTokens"].get<size_t>() + 20 - 1;  // the last token is not evaluated
    CHECK_EQUAL(reply.routed_tokens, count);
    CHECK_EQUAL(reply.route_tokens.size(), count);
    CHECK_EQUAL(reply.route_positions.front(), 0u);
    CHECK_EQUAL(reply.route_positions.back(), count - 1);

    std::map<uint32_t, cell_seen> from_routes;
    for (size_t i = 0; i < reply.route_experts.size(); ++i) {
        if (reply.route_experts[i] != observed_routes::not_computed) {
            cell_seen & cell = from_routes[uint32_t((i / used) % layers * experts + reply.route_experts[i])];
            cell.count  += 1;
            cell.weight += reply.route_weights[i];
        }
    }
    CHECK_EQUAL(from_routes.size(), reply.cells.size());
    double total = 0;
    for (const auto & [index, cell] : reply.cells) {
        CHECK_EQUAL(cell.count, from_routes[index].count);
        CHECK_NEAR(cell.weight, from_routes[index].weight, 1e-2);  // routes carry f16
        total += cell.weight;
    }
    // the weights of a token's experts sum to 1 in each layer; the last layer is computed for outputs only
    CHECK_NEAR(total, 3.0 * double(count) + 20.0, 1e-2);

    // taken from the cache, so not evaluated, so not counted
    const reply_seen again = tiny.ask(basis);
    CHECK_EQUAL(again.routed_tokens, 20u);
    CHECK_EQUAL(again.route_positions.front(), again.result["cachedTokens"].get<uint32_t>());
    CHECK_EQUAL(tiny.out.whole_frames, true);
}

}  // namespace

int main() {
    start_llama();
    check_against_callback();
    check_frames();
    return check_result();
}
