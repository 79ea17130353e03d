// The least important experts in fewer bits on devices: computed with what requantising gives, near stock llama.cpp, within the same bytes, switched on and off at any time.
#include "device-runs.h"
#include "distributions.h"
#include "experts/store/low-precision.h"
#include "rpc-servers.h"

#include <numeric>

using namespace moebius;
using moebius_test::device_outcome;
using moebius_test::device_run;

namespace {

const char * const text =
    "In those days the king sent messengers to all the cities of the plain, and they said to the elders: Why do you sit within your walls while the river rises? And the people answered them, "
    "saying: We have seen the water, and we have built a wall of stone against it; for our fathers told us of the year when the flood came down from the hills and took the houses and the fields. "
    "Then the king was glad, and he gave them oxen and bread, and he said: Let every man take his sons and go up to the wall, and let the women bring water, and let no one sleep until the morning. "
    "And it was so. In the morning the river was high, but the wall stood, and the people sang a song before the Lord, with harps and with a great voice, because he had delivered them.";

struct tiny : moebius_test::device_runs {
    tiny(moebius_test::rpc_servers & machines, const std::string & path = MOEBIUS_TINY_MODEL) : device_runs(path, machines.devices()) {}

    std::vector<llama_token> tokens() const {
        llama_model_params parameters = llama_model_default_params();
        parameters.vocab_only         = true;
        const llama_model_ptr    model(llama_model_load_from_file(MOEBIUS_TINY_MODEL, parameters));
        std::vector<llama_token> all(std::strlen(text));
        const int32_t            count = llama_tokenize(llama_model_get_vocab(model.get()), text, int32_t(all.size()), all.data(), int32_t(all.size()), false, false);
        CHECK(count > 150);
        all.resize(size_t(count));
        return all;
    }
};

// Less than all experts take in full precision, enough with some in low precision.
const std::vector<double> share_of_device = { 0.45, 0.4 };

// The text's first tokens as the prompt, the others one by one.
struct reading {
    std::vector<llama_token> prompt, rest;

    explicit reading(const std::vector<llama_token> & tokens) : prompt(tokens.begin(), tokens.begin() + 32), rest(tokens.begin() + 32, tokens.begin() + 150) {}
    uint32_t steps() const { return uint32_t(rest.size()); }
};

device_run stock_run() {
    device_run how;
    how.stock = true;
    how.batch = 64;
    return how;
}

device_run low_run(ggml_type type, double share, const std::vector<llama_token> & seen) {
    device_run how;
    how.batch     = 64;
    how.budgets   = share_of_device;
    how.cpu_helps = how.fetches = false;
    how.low                     = low_precision_choice{ type, share };
    while (how.seen_before.size() < 5 * 64) {  // looked at once, before the last batch
        how.seen_before.push_back(seen[how.seen_before.size() % seen.size()]);
    }
    return how;
}

// Of each layer those that have copies in low precision only.
std::vector<std::vector<bool>> lowered_in(const device_outcome & outcome) {
    std::vector<std::vector<bool>> all;
    for (size_t l = 0; l < outcome.copies.size(); l++) {
        all.emplace_back();
        for (size_t e = 0; e < outcome.copies[l].size(); e++) {
            all[l].push_back(outcome.copies[l][e] == 0 && outcome.low->copies[l][e] != 0);
        }
    }
    return all;
}

std::vector<double> values_of(const expert_part & part, const uint8_t * data) {
    std::vector<float> values(size_t(part.n_in * part.n_out));
    ggml_get_type_traits(part.type)->to_float(data, values.data(), int64_t(values.size()));
    return { values.begin(), values.end() };
}

std::vector<double> product(const std::vector<double> & rows, const std::vector<double> & x) {
    std::vector<double> y(rows.size() / x.size(), 0.0);
    for (size_t i = 0; i < rows.size(); i++) {
        y[i / x.size()] += rows[i] * x[i % x.size()];
    }
    return y;
}

// An expert's output, from its matrices gate, up and down.
std::vector<double> expert_output(const std::vector<std::vector<double>> & parts, const std::vector<double> & x) {
    std::vector<double> hidden = product(parts[0], x);
    const auto          up     = product(parts[1], x);
    for (size_t i = 0; i < hidden.size(); i++) {
        hidden[i] *= up[i] / (1 + std::exp(-hidden[i]));
    }
    return product(parts[2], hidden);
}

double relative_distance(const std::vector<double> & from, const float * to) {
    double error = 0, sum = 0;
    for (size_t i = 0; i < from.size(); i++) {
        error += std::pow(from[i] - to[i], 2);
        sum += from[i] * from[i];
    }
    return std::sqrt(error / sum);
}

// Slots hold the requantised matrices, bit by bit, and what a device computes with them is the FFN of these.
void devices_compute_with_requantised_experts(moebius_test::rpc_servers & machines) {
    constexpr double    of_activations = 0.02, of_weights = 0.04;  // relative errors: activations are rounded to q8_0, seen up to 0.008; weights to q4_0, seen from 0.08 on
    const tiny          model(machines);
    const expert_layout low = low_precision_layout(model.layout, GGML_TYPE_Q4_0);
    expert_store        store(model.layout, { expert_slots_most_bytes(model.layout), "lru", 1, {} });
    store.fill([](uint64_t, uint64_t) { return true; });
    device_tier tier(store, low, { { model.devices[0], device_slot_bytes(low) * 5 } });
    CHECK(tier.fill([](uint64_t, uint64_t) { return true; }));
    device_ffn                      ffn(tier.device(0), low, 1);
    const std::vector<uint32_t>     none(low.experts, 0);
    const std::vector<int32_t>      no_routes;
    std::mt19937                    random(3);
    std::normal_distribution<float> normal;
    for (uint32_t l = 0; l < low.layers.size(); l++) {
        const device_placement placement = tier.begin(l, none, { no_routes, 0 });
        uint32_t               there     = 0;
        for (uint32_t e = 0; e < low.experts; e++) {
            if (placement.copies[e] == 0) {
                continue;
            }
            std::vector<std::vector<double>> full_values, low_values;
            for (uint32_t p = 0; p < low.layers[l].parts.size(); p++) {
                const expert_part &  full = model.layout.layers[l].parts[p], &part = low.layers[l].parts[p];
                std::vector<uint8_t> original(full.bytes), expected(part.bytes), held(part.bytes);
                store.read_part(l, e, p, original.data());
                requantise(full, original.data(), part, expected.data());
                const ggml_tensor * slots = tier.device(0).matrix(l, p);
                ggml_backend_tensor_get(slots, held.data(), placement.slots[0][e] * slots->nb[2], held.size());
                CHECK(held == expected);
                full_values.push_back(values_of(full, original.data()));
                low_values.push_back(values_of(part, expected.data()));
            }
            std::vector<float> x(size_t(low.layers[l].parts[0].n_in));
            for (float & value : x) {
                value = normal(random);
            }
            const row_view input{ reinterpret_cast<char *>(x.data()), x.size() * sizeof(float) };
            CHECK(ffn.start(l, input, { { 0, placement.slots[0][e], int32_t(e), 1.0f } }) && ffn.wait());
            const std::vector<double> wide(x.begin(), x.end());
            CHECK(relative_distance(expert_output(low_values, wide), ffn.batch.output().row(0)) < of_activations);
            CHECK(relative_distance(expert_output(full_values, wide), ffn.batch.output().row(0)) > of_weights);
            there++;
        }
        tier.end(l, { 0 });
        CHECK_EQUAL(there, 5u);
    }
}

// They get what the plan saves, and no device holds more bytes than it was given.
void the_least_important_experts_are_in_low_precision_within_the_budget(moebius_test::rpc_servers & machines) {
    const tiny           model(machines);
    const auto           tokens = model.tokens();
    const reading        book(tokens);
    device_run           how = low_run(GGML_TYPE_Q4_0, 0.5, tokens);
    how.adapts               = false;  // no copy is on its way at the end
    const device_outcome low = model.run(how, book.prompt, book.steps(), book.rest);
    const auto           which = lowered_in(low);
    uint32_t             count = 0;
    CHECK_EQUAL(low.low->calibrated, uint32_t(which.size()) - 1);  // of the last layer llama.cpp evaluates a token of each batch
    for (size_t l = 0; l < low.low->calibrated; l++) {
        for (size_t e = 0; e < which[l].size(); e++) {
            CHECK(low.low->experts[l][e] || low.low->copies[l][e] == 0);
            CHECK(low.copies[l][e] != 0 || low.low->copies[l][e] != 0);  // they have a place at all
            count += which[l][e] ? 1 : 0;
        }
    }
    CHECK(count > 0 && count <= which.size() * model.layout.experts / 2);
    CHECK(low.low->tokens[0] + low.low->tokens[1] > 0);
    for (size_t d = 0; d < 2; d++) {
        CHECK(low.low->tokens[d] < low.devices[d].tokens);
        CHECK(double(low.bytes[d] + low.low->bytes[d]) <= share_of_device[d] * double(device_slot_bytes(model.layout) * model.layout.experts));
    }
    how.low.reset();
    const device_outcome full = model.run(how, book.prompt, book.steps(), book.rest);
    std::fprintf(stderr, "%u experts in q4_0: the CPU computes %llu assignments, %llu without them\n", count, (unsigned long long) low.on_cpu, (unsigned long long) full.on_cpu);
    CHECK(low.on_cpu < full.on_cpu);
}

// On tiny-moe, with up to half of the experts in fewer bits. Seen: -0.1% and 0.0003 nats with q4_0, +0.4% and 0.0005 nats with q2_K.
void perplexity_hardly_rises(moebius_test::rpc_servers & machines) {
    const tiny           model(machines);
    const auto           tokens = model.tokens();
    const reading        book(tokens);
    const device_outcome stock = model.run(stock_run(), book.prompt, book.steps(), book.rest);
    const double         before = perplexity(stock, book.rest);
    for (const auto & [type, most_rise, most_divergence] : { std::tuple(GGML_TYPE_Q4_0, 0.005, 0.002), std::tuple(GGML_TYPE_Q2_K, 0.02, 0.004) }) {
        const device_outcome low  = model.run(low_run(type, 0.5, tokens), book.prompt, book.steps(), book.rest);
        const double         rise = perplexity(low, book.rest) / before - 1, away = divergence(stock, low);
        const uint64_t       used = std::accumulate(low.low->tokens.begin(), low.low->tokens.end(), uint64_t(0));
        std::fprintf(stderr, "%s: perplexity %.3f, %+.2f%%; divergence %.5f; %.1f%% of assignments in low precision\n", ggml_type_name(type), before, rise * 100, away,
                     100.0 * double(used) / double(low.on_devices()));
        CHECK(rise < most_rise);
        CHECK(away < most_divergence);
        CHECK(away > 1e-6);  // it does change something
    }
}

void it_is_switched_on_and_off_while_tokens_are_made(moebius_test::rpc_servers & machines) {
    const tiny           model(machines);
    const auto           tokens = model.tokens();
    const reading        book(tokens);
    const device_outcome stock = model.run(stock_run(), book.prompt, book.steps(), book.rest);
    device_run           how   = low_run(GGML_TYPE_Q4_0, 0.5, tokens);
    device_dispatch *    on    = nullptr;
    device_room          before;
    how.before      = [&](loaded_experts & experts) { on = experts.devices.get(); };
    how.before_step = [&](uint32_t step) {
        if (step == 20) {
            CHECK(on->low_precision()->calibrated > 0);
            on->set_low_precision(std::nullopt);
            CHECK(!on->low_precision());
            before = on->tier.room();
        } else if (step == 40) {
            on->set_low_precision(low_precision_choice{ GGML_TYPE_Q3_K, 0.25 });
            CHECK_EQUAL(on->low_precision()->calibrated, 0u);
        } else if (step == 60) {
            const uint64_t all = device_slot_bytes(model.layout) * model.layout.experts;
            on->resize({ all / 2, all });
            CHECK(on->low_precision() && on->low_precision()->choice.type == GGML_TYPE_Q3_K);
        }
    };
    const device_outcome result = model.run(how, book.prompt, book.steps(), book.rest);
    CHECK(before.slots == device_room_for(model.layout, before.bytes).slots);
    CHECK(divergence(stock, result) < 0.02);
    device_run storm = low_run(GGML_TYPE_Q4_0, 0.5, tokens);
    storm.ram        = 0.5;
    storm.storm      = true;
    const device_outcome shaken = model.run(storm, book.prompt, book.steps(), book.rest);
    CHECK(shaken.changes > 2);
    CHECK(divergence(stock, shaken) < 0.02);
}

void off_nothing_is_different(moebius_test::rpc_servers & machines) {
    const tiny           model(machines);
    const auto           tokens = model.tokens();
    const reading        book(tokens);
    device_run           how = low_run(GGML_TYPE_Q4_0, 0.5, tokens);
    how.low.reset();
    how.adapts                = false;
    const device_outcome off  = model.run(how, book.prompt, book.steps(), book.rest);
    how.low                   = low_precision_choice{ GGML_TYPE_Q4_0, 0.0 };  // no expert may be in low precision
    const device_outcome none = model.run(how, book.prompt, book.steps(), book.rest);
    CHECK(!off.low);
    CHECK_EQUAL(none.low->tokens[0] + none.low->tokens[1], 0u);
    CHECK(off.bytes == none.bytes);
    CHECK_EQUAL(moebius_test::largest_difference(off, none), 0.0);
}

// What it computed in low precision the CPU computes in full.
void a_device_that_dies_takes_nothing_along(moebius_test::rpc_servers & machines) {
    const tiny           model(machines);
    const auto           tokens = model.tokens();
    const reading        book(tokens);
    const device_outcome stock = model.run(stock_run(), book.prompt, book.steps(), book.rest);
    device_run           how   = low_run(GGML_TYPE_Q4_0, 0.5, tokens);
    how.before_step            = [&](uint32_t step) {
        if (step == 20) {
            machines.kill(1);
        }
    };
    const device_outcome result = model.run(how, book.prompt, book.steps(), book.rest);
    CHECK((result.lost == std::vector<bool>{ false, true }));
    CHECK(result.on_cpu > 0);
    CHECK(divergence(stock, result) < 0.02);
}

}  // namespace

int main() {
    moebius_test::start_llama();
    moebius_test::rpc_servers machines(2);
    devices_compute_with_requantised_experts(machines);
    the_least_important_experts_are_in_low_precision_within_the_budget(machines);
    perplexity_hardly_rises(machines);
    off_nothing_is_different(machines);
    it_is_switched_on_and_off_while_tokens_are_made(machines);
    a_device_that_dies_takes_nothing_along(machines);  // the last: that machine is gone
    return moebius_test::check_result();
}
