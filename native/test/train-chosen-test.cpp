// Only chosen experts are adapted (ESFT): which ones data chooses, that they are trained as they would be among all, what the others are spared, and files of them.
#include "check.h"
#include "model/backends.h"
#include "run-fixture.h"
#include "small-base.h"
#include "train-adapters.h"
#include "train/export/adapter-file.h"
#include "train/export/merge.h"
#include "train/base/tensor-reader.h"
#include "train/run/checkpoint.h"
#include "train/run/expert-choice.h"
#include "trainee.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <numeric>

using namespace moebius;
using namespace moebius_test;

namespace {

using chosen_by_layer = std::vector<std::vector<int32_t>>;

// Experts 1 and 4 of the first layer, 0, 2 and 5 of the second.
const chosen_by_layer some{ { 1, 4 }, { 0, 2, 5 } };

adapter_settings adapters_on(const chosen_by_layer & chosen) {
    adapter_settings settings;
    settings.attention = settings.experts = { 4, 8, false };
    settings.chosen.experts               = chosen;
    settings.seed                         = 3;
    return settings;
}

void the_fewest_that_reach_the_share_are_chosen() {
    const expert_choice made = choose_by_affinity({ { 1, 6, 0, 3 }, { 0, 0, 5, 5 }, { 0, 0, 0, 0 } }, 0.65);
    CHECK(made.experts == chosen_by_layer({ { 1, 3 }, { 2, 3 }, {} }));
    CHECK(made.affinities == std::vector<std::vector<double>>({ { 0.6, 0.3 }, { 0.5, 0.5 }, {} }));
    CHECK(choose_by_affinity({ { 1, 6, 0, 3 } }, 0.6).experts == chosen_by_layer({ { 1 } }));
    CHECK(choose_by_affinity({ { 2, 2, 2 } }, 0.3).experts == chosen_by_layer({ { 0 } }));  // of equals the first
    CHECK(choose_by_affinity({ { 1, 6, 0, 3 } }, 1).experts == chosen_by_layer({ { 0, 1, 3 } }));
    CHECK_THROWS(choose_by_affinity({ { 1, NAN } }, 0.5), user_error, error.code == "file.corrupt");
}

// Passes tell what the choice goes by: every token's weights add up to 1 where a model normalises them.
void passes_tell_weights_of_experts(const std::string & path) {
    trainee           base(path, adapters_on({}));
    const token_batch batch = batch_of({ 21, 13 });
    const pass_result seen  = base.pass.forward(batch);
    for (size_t layer = 0; layer < seen.expert_weights.size(); layer++) {
        const std::vector<double> & weights = seen.expert_weights[layer];
        CHECK_NEAR(std::accumulate(weights.begin(), weights.end(), 0.0), double(batch.tokens.size()), 1e-4);
        for (size_t expert = 0; expert < weights.size(); expert++) {
            const double tokens = double(seen.expert_tokens[layer][expert]);
            CHECK(weights[expert] <= tokens + 1e-5 && (weights[expert] > 0) == (tokens > 0));
        }
    }
}

// Numbers `from` has of the chosen experts, in the place of those of `to`, which has a matrix for every expert.
void copy_chosen(const adapter & from, adapter & to) {
    for (size_t t = 0; t < from.tensors.size(); t++) {
        for (const auto & [source, target] : { std::pair(from.tensors[t].a, to.tensors[t].a), std::pair(from.tensors[t].b, to.tensors[t].b) }) {
            const train_parameter & have   = from.parameters[source];
            const size_t            matrix = size_t(have.n0 * have.n1);
            for (size_t i = 0; i < size_t(have.n2); i++) {
                const size_t expert = from.tensors[t].experts.empty() ? i : size_t(from.tensors[t].experts[i]);
                std::copy_n(have.values.begin() + ptrdiff_t(i * matrix), matrix, to.parameters[target].values.begin() + ptrdiff_t(expert * matrix));
            }
        }
    }
}

// Largest difference of gradients of the chosen experts, as a share of the largest.
double difference_of_chosen(const adapter & chosen, const adapter & all) {
    double off = 0, largest = 0;
    for (size_t t = 0; t < chosen.tensors.size(); t++) {
        for (const auto & [mine, other] : { std::pair(chosen.tensors[t].a, all.tensors[t].a), std::pair(chosen.tensors[t].b, all.tensors[t].b) }) {
            const train_parameter & have   = chosen.parameters[mine];
            const size_t            matrix = size_t(have.n0 * have.n1);
            for (size_t i = 0; i < have.gradient.size(); i++) {
                const size_t expert = chosen.tensors[t].experts.empty() ? i / matrix : size_t(chosen.tensors[t].experts[i / matrix]);
                off     = std::max(off, std::fabs(double(have.gradient[i]) - double(all.parameters[other].gradient[expert * matrix + i % matrix])));
                largest = std::max(largest, std::fabs(double(have.gradient[i])));
            }
        }
    }
    return off / largest;
}

// Beside adapters that are 0, an adapter has the gradient that it has without them; on several devices to rounding.
void chosen_ones_are_trained_as_among_all(const std::string & path, const std::vector<copies_room> & rooms, double tolerance) {
    trainee           few(path, adapters_on(some), rooms), all(path, adapters_on({}));
    const token_batch batch = batch_of({ 21, 13 });
    few.disturb();
    for (train_parameter & parameter : all.trained.parameters) {
        std::fill(parameter.values.begin(), parameter.values.end(), 0.0f);
    }
    copy_chosen(few.trained, all.trained);
    all.pass.write(all.trained);
    const double loss = few.pass.forward_backward(batch, {}, few.trained).loss, expected = all.pass.forward_backward(batch, {}, all.trained).loss;
    CHECK_NEAR(loss, expected, tolerance * expected);
    const double off = difference_of_chosen(few.trained, all.trained);
    std::fprintf(stderr, "gradients of chosen experts, %zu rooms: %.1e of the largest from those among all\n", rooms.size(), off);
    CHECK(off <= tolerance);
    for (const adapted_tensor & tensor : few.trained.tensors) {
        const bool is_stack = tensor.base.find("_exps") != std::string::npos;
        CHECK(!is_stack || few.trained.parameters[tensor.a].n2 == int64_t(some[size_t(tensor.base[4] - '0')].size()));
    }
    few.pass.follow_load();  // other copies: their adapters are where they are
    few.pass.write(few.trained);
    CHECK_NEAR(few.pass.forward(batch).loss, expected, std::max(tolerance, 1e-6) * expected);
}

void the_gradient_is_the_slope(const std::string & path) {
    trainee few(path, adapters_on(some));
    check_slopes("chosen experts", few, batch_of({ 21, 13 }), {});
}

// The same numbers begin a chosen expert, whoever else is chosen.
void an_expert_begins_as_among_all(const gguf_model & base) {
    const adapter few = new_adapter(base, adapters_on(some)), all = new_adapter(base, adapters_on({}));
    adapter       same = all;
    copy_chosen(few, same);
    CHECK(same_adapter(same, all));
    CHECK(with_all_experts(few, 6).parameters.size() == all.parameters.size());
}

void what_cannot_be_chosen_is_refused(const gguf_model & base) {
    for (const chosen_by_layer & wrong : { chosen_by_layer{ { 6 } }, chosen_by_layer{ { 1, 1 } }, chosen_by_layer{ {}, {}, { 0 } } }) {
        CHECK_THROWS(new_adapter(base, adapters_on(wrong)), user_error, error.code == "request.invalid");
    }
    const auto chosen = [](const json & how) {
        return run_settings_of({ { "model", "m" }, { "data", "d" }, { "adapter", { { "experts", { { "loraRank", 2 }, { "chosen", how } } } } }, { "schedule", { { "steps", 1 } } } }).adapter;
    };
    CHECK(chosen({ { "layers", { { "2", { 5, 1 } }, { "0", { 3 } } } } }).chosen.experts == chosen_by_layer({ { 3 }, {}, { 1, 5 } }));
    CHECK(chosen({ { "method", "tokens" }, { "topP", 0.5 } }).affinity->by == affinity_kind::tokens);
    for (const json & wrong : { json{ { "layers", json::object() } }, json{ { "layers", { { "x", { 1 } } } } }, json{ { "layers", { { "1", { -1 } } } } }, json{ { "layers", { { "0", { 1 } } } }, { "topP", 0.5 } },
                                json{ { "method", "best" } }, json{ { "topP", 0 } } }) {
        CHECK_THROWS(chosen(wrong), user_error, error.code == "request.invalid" && std::string(error.what()).find("adapter.experts.chosen") != std::string::npos);
    }
}

// Stock llama.cpp with the file computes the merged model; in a merged model of the base's types, experts that are not adapted keep their bytes.
void files_hold_zeros_for_the_others(small_base of, const std::string & path) {
    const scratch_folder folder("moebius-chosen");
    const std::string    file = folder.path("adapter.gguf"), merged = folder.path("merged.gguf"), filled = folder.path("filled.gguf");
    const auto           whole = [](uint64_t, uint64_t) { return true; };
    trainee              few(path, adapters_on(some));
    few.disturb();
    const adapter all = with_all_experts(few.trained, 6);
    adapter_write(all, file, GGML_TYPE_F32);
    merge_write(few.file, few.trained, merge_type_named("f32"), merged, 1, whole);
    merge_write(few.file, all, merge_type_named("f32"), filled, 1, whole);
    CHECK(bytes_of(merged) == bytes_of(filled));
    const std::vector<float> adapted = stock_logits(path, file);
    CHECK(!adapted.empty());
    CHECK_NEAR(share_of_difference(adapted, stock_logits(merged, "")), 0, 1e-5);  // as train-adapter-file-test
    CHECK(share_of_difference(adapted, stock_logits(path, "")) > 1e-3);

    of.type                     = GGML_TYPE_Q8_0;
    const std::string quantised = write_small_base(of);
    {
        const gguf_model base = gguf_open(quantised);
        merge_write(base, few.trained, merge_type_named("same"), merged, 1, whole);
        const gguf_model     made = gguf_open(merged);
        const gguf_tensor &  before = *base.find_tensor("blk.1.ffn_down_exps.weight"), &after = *made.find_tensor("blk.1.ffn_down_exps.weight");
        std::vector<uint8_t> x(before.bytes), y(after.bytes);
        tensor_reader(base).read(before, 0, x.size(), x.data());
        tensor_reader(made).read(after, 0, y.size(), y.data());
        const size_t each = x.size() / 6;
        CHECK_EQUAL(x.size(), y.size());
        for (int32_t expert = 0; expert < 6; expert++) {
            const bool is_same = std::memcmp(&x[size_t(expert) * each], &y[size_t(expert) * each], each) == 0;
            CHECK(is_same == (std::count(some[1].begin(), some[1].end(), expert) == 0));
        }
    }
    std::remove(quantised.c_str());
}

// By affinity to the data: fewer numbers and moments, and a run that goes on does so with the same experts, to the bit.
void a_run_chooses_by_its_data(const scratch & room) {
    json settings = settings_of(room.data(), "adamw", 3);
    const auto all = train_run(run_settings_of(settings)).optimiser_bytes();
    settings["adapter"]["experts"]["chosen"] = { { "method", "gate" }, { "topP", 0.3 }, { "sampleTokens", 200 } };
    std::vector<double> told;
    const auto how = with_chosen_experts(run_settings_of(settings), [&](double share) {
        told.push_back(share);
        return true;
    });
    CHECK(told.size() > 1 && told.front() == 0 && told.back() < 1 && std::is_sorted(told.begin(), told.end()) && told.front() < told.back());
    CHECK(!with_chosen_experts(run_settings_of(settings), [](double) { return false; }));
    const expert_choice & chosen = how->adapter.chosen;
    CHECK(chosen.sampled_tokens >= 200 && chosen.sampled_tokens < 200 + 64);
    size_t matrices = 0;
    for (size_t layer = 0; layer < chosen.experts.size(); layer++) {
        const double sum = std::accumulate(chosen.affinities[layer].begin(), chosen.affinities[layer].end(), 0.0);
        CHECK(sum >= 0.3 - 1e-9 && sum - *std::min_element(chosen.affinities[layer].begin(), chosen.affinities[layer].end()) < 0.3);
        matrices += chosen.experts[layer].size();
    }
    train_run whole(*how);
    std::fprintf(stderr, "gate affinity of 0.3 in %lld tokens: %zu experts in %zu layers, optimiser %zu bytes, of all experts %zu\n", (long long) chosen.sampled_tokens, matrices, chosen.experts.size(),
                 whole.optimiser_bytes(), all);
    CHECK(whole.optimiser_bytes() < all);
    steps_of(whole, 1);
    const std::string path = (room.folder / "chosen.checkpoint").u8string();
    checkpoint_write({ settings, whole.state() }, path);
    const std::vector<double> rest  = steps_of(whole, 2);
    run_state                 state = checkpoint_read(path).state;
    CHECK(state.chosen.experts == chosen.experts && state.chosen.affinities == chosen.affinities && state.chosen.sampled_tokens == chosen.sampled_tokens);
    run_settings again   = run_settings_of(settings);
    again.adapter.chosen = state.chosen;
    train_run resumed(again);
    resumed.restore(state);
    CHECK(steps_of(resumed, 2) == rest);
    CHECK(same_values(whole, resumed));
    const auto movement = whole.movement();
    for (size_t t = 0; t < whole.trained().tensors.size(); t++) {
        const std::vector<int32_t> & experts = whole.trained().tensors[t].experts;
        for (size_t expert = 0; expert < movement[t].norms.size() && !experts.empty(); expert++) {
            CHECK(movement[t].norms[expert] == 0 || std::count(experts.begin(), experts.end(), int32_t(expert)) == 1);
        }
    }
    again.adapter.chosen.experts[0] = { again.adapter.chosen.experts[0][0] == 0 ? 1 : 0 };
    train_run other(again);
    CHECK_THROWS(other.restore(state), user_error, error.code == "request.invalid");
}

}  // namespace

int main() {
    backends_load();
    llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
    the_fewest_that_reach_the_share_are_chosen();
    small_base of;
    of.architecture        = "qwen3moe";
    const std::string path = write_small_base(of);
    passes_tell_weights_of_experts(path);
    chosen_ones_are_trained_as_among_all(path, {}, 0);
    chosen_ones_are_trained_as_among_all(path, { { trainee::cpu(), 4 }, { trainee::cpu(), 4 } }, 1e-5);
    the_gradient_is_the_slope(path);
    an_expert_begins_as_among_all(gguf_open(path));
    what_cannot_be_chosen_is_refused(gguf_open(path));
    files_hold_zeros_for_the_others(of, path);
    std::remove(path.c_str());
    const scratch room;
    a_run_chooses_by_its_data(room);
    return check_result();
}
