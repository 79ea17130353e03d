// Norms of gradients, clipping, batches that are added up, how far adapters have moved, and what should have moved and did not.
#include "check.h"
#include "model/backends.h"
#include "rpc/errors.h"
#include "run-fixture.h"
#include "train/descent/gradients.h"
#include "train/pass/learnt-tokens.h"
#include "trained-numbers.h"

#include <limits>
#include <map>

using namespace moebius_test;

namespace {

double norm_of(const std::vector<train_parameter> & parameters) {
    double sum = 0;
    for (const train_parameter & parameter : parameters) {
        for (const float x : parameter.gradient) {
            sum += double(x) * double(x);
        }
    }
    return std::sqrt(sum);
}

void norms_are_those_of_a_loop_on_any_threads() {
    const std::vector<train_parameter> parameters = made_parameters();
    const gradient_summary             one        = summarise_gradients(parameters, 1);
    CHECK_NEAR(one.norm, norm_of(parameters), 1e-12 * one.norm);  // double precision in another order
    for (size_t p = 0; p < parameters.size(); p++) {
        CHECK_NEAR(one.norms[p], norm_of({ parameters[p] }), 1e-12 * one.norm);
    }
    CHECK(one.not_finite == 0 && one.first_bad.empty());
    for (const int threads : { 2, 3 }) {
        const gradient_summary other = summarise_gradients(parameters, threads);
        CHECK(other.norm == one.norm && other.norms == one.norms);
    }
}

void large_numbers_are_no_infinite_ones() {
    std::vector<train_parameter> parameters = made_parameters();
    std::fill(parameters[0].gradient.begin(), parameters[0].gradient.end(), std::numeric_limits<float>::max());
    const gradient_summary summary = summarise_gradients(parameters, 1);
    CHECK(std::isfinite(summary.norm) && summary.not_finite == 0);
}

void bad_numbers_are_counted_and_the_first_parameter_is_named() {
    std::vector<train_parameter> parameters = made_parameters();
    parameters[3].gradient[90000]           = std::numeric_limits<float>::quiet_NaN();
    parameters[3].gradient[7]               = -std::numeric_limits<float>::infinity();
    parameters[1].gradient[1499]            = std::numeric_limits<float>::infinity();
    for (const int threads : { 1, 2, 3 }) {
        const gradient_summary summary = summarise_gradients(parameters, threads);
        CHECK_EQUAL(summary.not_finite, 3);
        CHECK_EQUAL(summary.first_bad, std::string("stack"));
        CHECK(!std::isfinite(summary.norm) && std::isfinite(summary.norms[0]) && !std::isfinite(summary.norms[1]));
    }
}

void clipping_shortens_to_the_limit_and_no_further() {
    std::vector<train_parameter> parameters = made_parameters();
    const auto                   before     = parameters;
    const double                 norm       = summarise_gradients(parameters, 1).norm;
    CHECK_EQUAL(clip_gradients(parameters, norm, norm, 1), 1.0f);
    CHECK(parameters[0].gradient == before[0].gradient);
    const float factor = clip_gradients(parameters, norm, 0.5, 2);
    CHECK_NEAR(factor, 0.5 / norm, 1e-7 / norm);
    CHECK_NEAR(norm_of(parameters), 0.5, 1e-7);  // each number and the factor are rounded to float
    CHECK_EQUAL(parameters[2].gradient[3], before[2].gradient[3] * factor);
    CHECK_THROWS(clip_gradients(parameters, norm, 0, 1), user_error, error.code == "request.invalid" && error.details["parameter"] == "clip");
}

// |lora_scale * a b| of one matrix, from the whole product.
double full_norm(const adapter & adapter, const adapted_tensor & tensor, size_t expert) {
    const train_parameter & a = adapter.parameters[tensor.a], &b = adapter.parameters[tensor.b];
    const size_t            n_in = size_t(a.n0), n_out = size_t(b.n1), lora_rank = size_t(a.n1);
    double                  sum = 0;
    for (size_t in = 0; in < n_in; in++) {
        for (size_t out = 0; out < n_out; out++) {
            double product = 0;
            for (size_t k = 0; k < lora_rank; k++) {
                product += double(a.values[(expert * lora_rank + k) * n_in + in]) * double(b.values[(expert * n_out + out) * lora_rank + k]);
            }
            sum += product * product;
        }
    }
    return double(tensor.scale()) * std::sqrt(sum);
}

void norms_of_adapters_are_those_of_the_whole_product() {
    adapter lora;
    lora.parameters = { made_parameter("e.lora_a", 24, 4, 3, 1), made_parameter("e.lora_b", 4, 17, 3, 2), made_parameter("q.lora_a", 24, 6, 1, 3), made_parameter("q.lora_b", 6, 9, 1, 4) };
    lora.tensors    = { { "e", 0, 1, 4, 8, false }, { "q", 2, 3, 6, 8, true } };
    std::fill_n(lora.parameters[1].values.begin() + 4 * 17, 4 * 17, 0.0f);  // expert 1 has not moved
    for (const adapted_tensor & tensor : lora.tensors) {
        const std::vector<double> norms = adapter_norms(lora, tensor);
        CHECK_EQUAL(int64_t(norms.size()), lora.parameters[tensor.a].n2);
        for (size_t expert = 0; expert < norms.size(); expert++) {
            CHECK_NEAR(norms[expert], full_norm(lora, tensor, expert), 1e-9 * norms[0]);  // double precision; little cancels in random numbers
        }
    }
    CHECK_EQUAL(adapter_norms(lora, lora.tensors[0])[1], 0.0);
}

void what_did_not_move_is_named_by_expert() {
    std::vector<train_parameter>    parameters = made_parameters();
    std::vector<std::vector<float>> before;
    for (train_parameter & parameter : parameters) {
        before.push_back(parameter.values);
    }
    CHECK_EQUAL(unmoved_parts(parameters, before).size(), 8u);
    parameters[0].values[5] += 1;
    for (const size_t expert : { 0, 2, 4 }) {
        parameters[1].values[expert * 300 + 299] += 1;
    }
    parameters[3].values[0] += 1;
    std::fill_n(parameters[1].gradient.begin() + 300, 300, 0.0f);
    const std::vector<unmoved_part> unmoved = unmoved_parts(parameters, before);
    CHECK_EQUAL(unmoved.size(), 3u);
    CHECK(unmoved[0].name == "stack" && unmoved[0].expert == 1 && !unmoved[0].has_gradient);
    CHECK(unmoved[1].name == "stack" && unmoved[1].expert == 3 && unmoved[1].has_gradient);
    CHECK(unmoved[2].name == "norm" && unmoved[2].expert == -1 && unmoved[2].has_gradient);
}

// As if one had not been wired into the graph.
void forget(adapter & of, const std::vector<std::vector<float>> & before, const std::string & name, int64_t expert) {
    for (size_t p = 0; p < of.parameters.size(); p++) {
        train_parameter & parameter = of.parameters[p];
        const ptrdiff_t   size = ptrdiff_t(parameter.n0 * parameter.n1), first = std::max<int64_t>(expert, 0) * size, end = expert < 0 ? ptrdiff_t(parameter.values.size()) : first + size;
        if (parameter.name == name) {
            std::fill(parameter.gradient.begin() + first, parameter.gradient.begin() + end, 0.0f);
            std::copy(before[p].begin() + first, before[p].begin() + end, parameter.values.begin() + first);
        }
    }
}

// Of the experts of a layer that have a gradient, the one that the fewest tokens tell something.
int64_t quietest_expert(const adapter & of, size_t layer, const std::string & kind, const std::vector<int64_t> & learnt) {
    const std::string name = "blk." + std::to_string(layer) + ".ffn_gate_exps.weight" + kind;
    const auto        gate = std::find_if(of.parameters.begin(), of.parameters.end(), [&](const train_parameter & each) { return each.name == name; });
    const int64_t     size = gate->n0 * gate->n1;
    int64_t           found = -1;
    for (int64_t expert = 0; expert < gate->n2; expert++) {
        const auto first = gate->gradient.begin() + expert * size;
        const bool has   = std::any_of(first, first + size, [](float x) { return x != 0; });
        CHECK(!has || learnt[size_t(expert)] > 0);
        if (has && (found < 0 || learnt[size_t(expert)] < learnt[size_t(found)])) {
            found = expert;
        }
    }
    return found;
}

// Everything is trained, and the first updates say so; then as if something were not: a matrix of attention, and each matrix of an expert, in the last layer, too, whose experts learn of few tokens.
void what_is_not_trained_is_named(const scratch & room) {
    train_run run(run_settings_of(settings_of(room.data(), "adamw", 2)));
    for (int64_t number = 0; number < 2; number++) {
        std::vector<std::vector<float>> before;
        for (const train_parameter & parameter : run.trained().parameters) {
            before.push_back(parameter.values);
        }
        const auto        report = run.step(always);
        const seen_update update{ number, before, report->learnt_tokens, report->attending };
        const std::string kind = number == 0 ? ".lora_b" : ".lora_a", matrix = "blk.2.attn_v.weight" + kind;
        CHECK(report->unmoved.empty() && unmoved_by(update, run.trained()).empty());
        adapter      broken = run.trained();
        const size_t last   = report->learnt_tokens.size() - 1;
        forget(broken, before, matrix, -1);
        std::map<size_t, int64_t> forgotten;
        for (const size_t layer : { size_t(1), last }) {
            forgotten[layer] = quietest_expert(run.trained(), layer, kind, report->learnt_tokens[layer]);
            for (const char * part : { "gate", "up", "down" }) {
                forget(broken, before, "blk." + std::to_string(layer) + ".ffn_" + part + "_exps.weight" + kind, forgotten[layer]);
            }
        }
        CHECK(report->learnt_tokens[last][size_t(forgotten[last])] <= report->tokens - report->targets);  // less than what predicts nothing
        const std::vector<unmoved_part> found = unmoved_by(update, broken);
        CHECK_EQUAL(found.size(), 7u);
        CHECK(std::all_of(found.begin(), found.end(), [&](const unmoved_part & part) {
            return !part.has_gradient && (part.name == matrix ? part.expert == -1 : part.expert == forgotten[size_t(part.name[4] - '0')]);
        }));
        adapter frozen = run.trained();  // by the optimiser
        frozen.parameters[number == 0 ? 1 : 0].values = before[number == 0 ? 1 : 0];
        CHECK(unmoved_by(update, frozen).size() == 1 && unmoved_by(update, frozen)[0].has_gradient);
    }
}

void only_tokens_that_the_loss_depends_on_are_learnt() {
    token_batch batch;
    batch.lengths = { 3, 4, 2 };
    batch.tokens.resize(9);
    batch.rows = { 1, 3, 5 };  // none of the last sequence
    CHECK(learnt_tokens(batch, true) == std::vector<bool>({ false, true, false, true, false, true, false, false, false }));
    CHECK(learnt_tokens(batch, false) == std::vector<bool>({ true, true, false, true, true, true, false, false, false }));
    const std::vector<int64_t> counts = count_by_expert({ 0, 1, 1, 2, 2, -1 }, 3, { true, false, true });
    CHECK(counts == std::vector<int64_t>({ 1, 1, 1 }));
}

// The adapter at step 0 and at step 1 give the gradient away.
void sgd_subtracts_the_gradient(const scratch & room) {
    json settings                   = settings_of(room.data(), "sgd", 1);
    CHECK_EQUAL(run_settings_of(settings).clip, 0.0);
    CHECK_EQUAL(run_settings_of(settings_of(room.data(), "adamw", 1)).clip, 1.0);
    settings["schedule"]            = { { "steps", 1 }, { "learningRate", 0.5 } };
    train_run                          run(run_settings_of(settings));
    const std::vector<train_parameter> before = run.trained().parameters;
    steps_of(run, 1);
    for (size_t i = 0; i < before.size(); i++) {
        const train_parameter & after = run.trained().parameters[i];
        bool                    same  = true;
        for (size_t j = 0; j < after.values.size(); j++) {
            same = same && after.values[j] == before[i].values[j] - 0.5f * after.gradient[j];
        }
        CHECK(same);
    }
}

// Batches of a step are shares of one mean: together they have the gradients of one large batch of the same examples.
void batches_that_are_added_up_give_one_large_batchs_gradients(const scratch & room) {
    json settings = settings_of(room.data(), "sgd", 1);
    settings.erase("routerLosses");  // means over a batch's tokens, which batches of other sizes make others of
    settings["adapter"]["experts"]["dropout"] = 0;
    dataset_file data(room.data(), "train");
    packing      batches({ 64, packing_settings().look_ahead, 4, true }, packing_source_of(data));
    int64_t      count = 0;
    for (; batches.cursor().epoch == 0; count++) {
        batches.next();
    }
    CHECK(count >= 3);
    std::vector<std::vector<train_parameter>> found;
    double                                    losses[2] = {}, norms[2] = {};
    for (const bool is_one : { false, true }) {
        settings["batchTokens"]    = is_one ? 64 * count : 64;
        settings["batchesPerStep"] = is_one ? 1 : count;
        train_run  run(run_settings_of(settings));
        const auto report = run.step(always);
        CHECK_EQUAL(report->targets, int64_t(data.targets()));
        losses[is_one] = report->loss;
        norms[is_one]  = report->gradient_norm;
        found.push_back(run.trained().parameters);
    }
    double difference = 0;
    for (size_t p = 0; p < found[0].size(); p++) {
        for (size_t i = 0; i < found[0][p].gradient.size(); i++) {
            difference += std::pow(double(found[0][p].gradient[i]) - double(found[1][p].gradient[i]), 2);
        }
    }
    CHECK_NEAR(losses[0], losses[1], 1e-5);
    CHECK(std::sqrt(difference) < 1e-4 * norms[0]);  // F32 sums in another order
    std::printf("%d batches against one: loss %.6f and %.6f, gradients differ by %.1e of their norm\n", int(count), losses[0], losses[1], std::sqrt(difference) / norms[0]);
}

}  // namespace

int main() {
    backends_load();
    const scratch room;
    only_tokens_that_the_loss_depends_on_are_learnt();
    what_is_not_trained_is_named(room);
    sgd_subtracts_the_gradient(room);
    batches_that_are_added_up_give_one_large_batchs_gradients(room);
    norms_are_those_of_a_loop_on_any_threads();
    large_numbers_are_no_infinite_ones();
    bad_numbers_are_counted_and_the_first_parameter_is_named();
    clipping_shortens_to_the_limit_and_no_further();
    norms_of_adapters_are_those_of_the_whole_product();
    what_did_not_move_is_named_by_expert();
    return check_result();
}
