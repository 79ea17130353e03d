#include "expert-ahead.h"

#include "experts/dispatch/device-dispatch.h"

#include <llama.h>

#include <algorithm>
#include <chrono>
#include <cstring>

namespace moebius {

namespace {

constexpr int32_t  no_token  = -1;  // of the vocabulary
constexpr uint32_t rows_most = 32;  // of a batch that a router is applied to: they speak for the others

}  // namespace

expert_ahead::expert_ahead(expert_store & store, const llama_model * model)
    : store(store),
      routers(store.layout(), model),
      paths(uint32_t(store.layout().layers.size()), store.layout().experts, store.layout().used),
      layers(uint32_t(store.layout().layers.size())),
      n_embd(store.layout().layers.front().parts.front().n_in),
      last_is_cut(store.layout().layers.back().block + 1 == llama_model_n_layer(model)),
      guesses(distance_most * layers, guess{ gate_confidence(store.layout().experts, store.layout().used), {}, 0 }) {}

void expert_ahead::announce(const int32_t * tokens, uint32_t count, const std::vector<uint32_t> & wanted) {
    announced.assign(tokens, tokens + count);
    outputs = wanted;
    for (guess & one : guesses) {
        one.rows.clear();  // of a batch that failed
    }
    for (uint32_t layer = 0; layer < std::min(layers, store.prefetch_depth(expert_predictor::tokens)); layer++) {
        propose_by_tokens(layer);
    }
}

// The tokens whose rows a layer computes; empty: not known.
std::vector<int32_t> expert_ahead::tokens_in(uint32_t layer, int64_t rows) const {
    if (!is_last(layer)) {
        return rows == int64_t(announced.size()) ? announced : std::vector<int32_t>();
    }
    std::vector<int32_t> tokens;
    for (const uint32_t output : outputs) {
        tokens.push_back(announced[output]);
    }
    return rows == int64_t(tokens.size()) ? tokens : std::vector<int32_t>();
}

bool expert_ahead::devices_have_all(uint32_t layer) const {
    if (!store.devices) {
        return false;
    }
    const layer_placement copies = store.devices->tier.copies(layer);
    return std::all_of(copies.begin(), copies.end(), [](device_set on) { return on != 0; });
}

// Not what devices have: they compute it, nobody waits for a disk.
void expert_ahead::propose(expert_predictor by, uint32_t layer, std::vector<foreseen_use> foreseen) {
    if (store.devices) {
        const layer_placement copies = store.devices->tier.copies(layer);
        const auto            copied = [&](const foreseen_use & use) { return copies[use.expert] != 0; };
        foreseen.erase(std::remove_if(foreseen.begin(), foreseen.end(), copied), foreseen.end());
    }
    store.propose(by, layer, std::move(foreseen));
}

void expert_ahead::propose_by_tokens(uint32_t layer) {
    const std::vector<int32_t> tokens = tokens_in(layer, int64_t(is_last(layer) ? outputs.size() : announced.size()));
    if (!tokens.empty()) {
        propose(expert_predictor::tokens, layer, paths.foresee(layer, tokens));
    }
}

// Rows of the batch in `layer`, and which rows of the batch at work they are. False: none can be told.
bool expert_ahead::sample(guess & of, uint32_t layer, std::vector<uint32_t> & source_rows) const {
    const bool cut = is_last(layer) && batch.tokens > 1;
    if (cut && int64_t(announced.size()) != batch.tokens) {
        return false;
    }
    of.batch_rows        = cut ? uint32_t(outputs.size()) : uint32_t(batch.tokens);
    const uint32_t count = std::min(of.batch_rows, rows_most);
    of.rows.clear();
    source_rows.clear();
    for (uint32_t i = 0; i < count; i++) {
        of.rows.push_back(uint32_t(uint64_t(i) * of.batch_rows / count));
        source_rows.push_back(cut ? outputs[of.rows.back()] : of.rows.back());
    }
    return count > 0;
}

void expert_ahead::start(const expert_batch & next, row_view input) {
    batch = next;
    prepare_looks(input);
    claimed.store(false, std::memory_order_release);
}

void expert_ahead::prepare_looks(row_view input) {
    looks.clear();
    const uint32_t depth = store.prefetch_depth(expert_predictor::router);
    for (uint32_t distance = 1; distance <= std::min(depth, distance_most) && batch.layer + distance < layers; distance++) {
        const uint32_t        target = batch.layer + distance;
        std::vector<uint32_t> rows;
        if (!routers.has(target) || devices_have_all(target) || !sample(guess_of(distance, target), target, rows)) {
            continue;
        }
        look next{ distance, std::vector<float>(rows.size() * size_t(n_embd)) };
        for (size_t i = 0; i < rows.size(); i++) {
            std::memcpy(next.input.data() + i * size_t(n_embd), input.row(rows[i]), size_t(n_embd) * sizeof(float));
        }
        looks.push_back(std::move(next));
    }
}

void expert_ahead::run() {
    if (claimed.exchange(true, std::memory_order_acq_rel)) {
        return;
    }
    const auto begin = std::chrono::steady_clock::now();
    propose_by_router();
    const uint32_t depth = store.prefetch_depth(expert_predictor::tokens);
    if (depth > 0 && batch.layer + depth < layers) {
        propose_by_tokens(batch.layer + depth);
    }
    if (store.prefetches()) {
        learn();
    }
    spent_us += uint64_t(std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin).count());
}

void expert_ahead::propose_by_router() {
    for (const look & one : looks) {
        const uint32_t target = batch.layer + one.distance;
        guess &        own    = guess_of(one.distance, target);
        routers.scores(target, one.input, scores);
        const std::vector<int32_t> tokens = tokens_in(target, own.batch_rows);
        past.resize(scores.size());
        for (size_t i = 0; i < own.rows.size(); i++) {
            paths.chances(target, tokens.empty() ? no_token : tokens[own.rows[i]], &past[i * store.layout().experts]);
        }
        propose(expert_predictor::router, target, own.confidence.foresee(scores, past, own.batch_rows));
    }
}

void expert_ahead::learn() {
    std::vector<int32_t> chosen;
    for (uint32_t distance = 1; distance <= distance_most; distance++) {
        guess & own = guess_of(distance, batch.layer);
        if (!own.rows.empty() && own.batch_rows == uint32_t(batch.tokens)) {
            chosen.clear();
            for (const uint32_t row : own.rows) {
                const auto first = batch.ids.begin() + ptrdiff_t(row * batch.used);
                chosen.insert(chosen.end(), first, first + ptrdiff_t(batch.used));
            }
            own.confidence.learn(chosen);
        }
        own.rows.clear();
    }
    const std::vector<int32_t> tokens = tokens_in(batch.layer, batch.tokens);
    if (!tokens.empty()) {
        paths.learn(batch.layer, tokens, batch.ids);
    }
}

}  // namespace moebius
