#include "run.h"

#include "rpc/errors.h"
#include "train/base/base-checksum.h"
#include "train/graph/counter-random.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <set>

namespace moebius {

namespace {

constexpr int64_t steps_between_good_states = 16;  // what is lost at most when the guardian goes back

double seconds_since(std::chrono::steady_clock::time_point begin) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

const run_settings & checked(const run_settings & settings) {
    check_schedule(settings.schedule);
    return settings;
}

void check_router_losses(const router_loss_factors & factors, const base_shape & shape) {
    if (factors.z != 0 && shape.scores == scoring::sigmoid) {
        throw user_error("request.invalid", "The z-loss is of routers with a softmax, whose sum it keeps small, and this model's have sigmoids. Leave it at 0; the balance loss is for both.",
                         { { "z", factors.z } });
    }
}

// Nothing if the dataset has no such part.
std::optional<dataset_file> part_of(const std::string & folder, const std::string & part) {
    dataset_file file(folder, part);
    return file.examples() > 0 ? std::optional(std::move(file)) : std::nullopt;
}

void check_vocabulary(const dataset_file & data, const base_shape & shape) {
    if (int64_t(data.vocabulary_size()) != shape.vocabulary) {
        throw user_error("request.invalid",
                         "The dataset was encoded for a model with " + std::to_string(data.vocabulary_size()) + " tokens in its vocabulary, and this one has " + std::to_string(shape.vocabulary) +
                             ". Encode it for this model.",
                         { { "have", data.vocabulary_size() }, { "need", shape.vocabulary } });
    }
}

void check_objective(const dataset_file & data, train_objective objective) {
    if (objective == train_objective::next_token && data.pairs() > 0) {
        throw user_error("request.invalid", "The dataset has preferences (" + std::to_string(data.pairs()) + " pairs). Train on them with the objective \"dpo\", or leave their files out.",
                         { { "pairs", data.pairs() } });
    }
    if (objective == train_objective::dpo && data.pairs() != data.examples()) {
        throw user_error("request.invalid", "The objective \"dpo\" learns from preferences, and only " + std::to_string(data.pairs()) + " of the dataset's " + std::to_string(data.examples()) +
                                                " examples are pairs of answers. Leave the other files out, or train without that objective.",
                         { { "pairs", data.pairs() }, { "examples", data.examples() } });
    }
}

void add_expert_tokens(std::vector<std::vector<int64_t>> & sum, const std::vector<std::vector<int64_t>> & tokens) {
    sum.resize(tokens.size());
    for (size_t layer = 0; layer < tokens.size(); layer++) {
        sum[layer].resize(tokens[layer].size(), 0);
        for (size_t expert = 0; expert < tokens[layer].size(); expert++) {
            sum[layer][expert] += tokens[layer][expert];
        }
    }
}

// of: of these settings
void restore_stand_ins(std::optional<stand_ins> & of, std::vector<std::vector<float>> state) {
    if (of) {
        of->restore(std::move(state));
    } else if (!state.empty()) {
        throw user_error("request.invalid", "The checkpoint has stand-ins of experts, and these settings have none. Resume with the settings that it was made with.", {});
    }
}

// Losses of pairs are no tokens': what chance gives them says nothing of a run that comes apart.
guardian_settings guardian_for(const base_shape & shape, train_objective objective) {
    guardian_settings settings;
    if (objective == train_objective::next_token) {
        settings.chance = std::log(double(shape.vocabulary));
    }
    return settings;
}

}  // namespace

train_run::train_run(const run_settings & settings)
    : how(checked(settings)),
      file(gguf_open(how.model)),
      shape(base_shape_of(file)),
      data(how.data, "train"),
      origin({ std::filesystem::u8path(how.model).filename().u8string(), base_checksum(file), data.examples(), data.checksum() }),
      validation(part_of(how.data, "validation")),
      adapted(new_adapter(file, how.adapter)),
      pass(file, shape, adapted, pass_devices_of(how.devices, how.threads, shape.experts)),
      batches({ how.batch_tokens, packing_settings().look_ahead, how.seed, true }, packing_source_of(data)),
      descent(how.optimiser, adapted.parameters, usual_parameter_settings(adapted, how.b_rate_factor)),
      watch(guardian_for(shape, how.objective)) {
    check_vocabulary(data, shape);
    check_router_losses(how.router_losses, shape);
    check_objective(data, how.objective);
    check_router_settings(how.routers, pass.computed_shape(), routed_run_of(how));
    if (how.routers.gradient == router_gradient::default_moe) {
        averages.emplace(shape.layers, shape.experts, shape.n_embd, how.routers.beta);
    }
    if (validation && how.objective == train_objective::dpo) {
        check_objective(*validation, how.objective);
    }
    keep_good_state();
}

void train_run::keep_good_state() {
    good.optimiser = descent.state();
    good.values.clear();
    for (const train_parameter & parameter : adapted.parameters) {
        good.values.push_back(parameter.values);
    }
    good.stand_ins = averages ? averages->state() : std::vector<std::vector<float>>();
    good_at        = steps;
}

void train_run::roll_back() {
    descent.restore(good.optimiser);
    for (size_t i = 0; i < good.values.size(); i++) {
        adapted.parameters[i].values = good.values[i];
    }
    if (averages) {
        averages->restore(good.stand_ins);
    }
    pass.write(adapted);
}

// Adds a batch's gradients, of its share of the step: `whole` is the weight of all its tokens, or its number of pairs.
pass_result train_run::learn(packed_batch & packed, double whole, const router_loss_factors & factors, uint64_t stream, preference_sums & pairs, const routing_plan & plan) {
    if (how.objective != train_objective::dpo) {
        for (float & each : packed.batch.weights) {
            each = float(double(each) / whole);
        }
        return pass.forward_backward(packed.batch, factors, adapted, stream, {}, plan);
    }
    const std::vector<float> of_base = pass.forward(packed.batch, false, plan.experts_used).row_losses;
    return pass.forward_backward(packed.batch, factors, adapted, stream, [&](const std::vector<float> & row_losses) {
        add_preferences(pairs, packed, row_losses, of_base, how.preference);
        return preference_weights(packed, row_losses, of_base, how.preference, 1 / whole);
    }, plan);
}

// Gradients of the mean over all supervised tokens of the step's batches, or over its pairs. False: stopped.
bool train_run::accumulate(step_report & report, const std::function<bool()> & go_on) {
    std::vector<packed_batch> all;
    double                    whole = 0;
    for (int64_t i = 0; i < how.batches_per_step; i++) {
        all.push_back(read_batch(data, batches.next(), how.batch_tokens, how.weighting));
        whole += how.objective == train_objective::dpo ? double(all.back().pairs.size()) : std::accumulate(all.back().batch.weights.begin(), all.back().batch.weights.end(), 0.0);
    }
    for (train_parameter & parameter : adapted.parameters) {
        std::fill(parameter.gradient.begin(), parameter.gradient.end(), 0.0f);
    }
    if (averages) {
        averages->forget();  // steps that were stopped
    }
    const float               share   = 1 / float(how.batches_per_step);
    const router_loss_factors factors = { how.router_losses.balance * share, how.router_losses.z * share };
    const uint64_t            of_step = random_bits(random_stream(how.seed, "steps") + uint64_t(steps));
    const routing_plan        plan{ drawn_used_counts(how.routers.used, pass.computed_shape(), of_step), how.routers.gradient, how.routers.reach, averages ? &*averages : nullptr };
    preference_sums           pairs;
    report.used_counts = plan.experts_used;
    for (packed_batch & packed : all) {
        if (!go_on()) {
            return false;
        }
        const pass_result seen = learn(packed, whole, factors, of_step + uint64_t(&packed - all.data()), pairs, plan);
        report.loss += seen.loss;
        report.balance += seen.balance * double(share);
        report.z += seen.z * double(share);
        report.tokens += int64_t(packed.batch.tokens.size());
        report.targets += int64_t(packed.batch.rows.size());
        report.fill += packed.fill() * double(share);
        add_expert_tokens(report.expert_tokens, seen.expert_tokens);
        add_expert_tokens(report.learnt_tokens, seen.learnt_tokens);
        report.attending += attending_tokens(packed.batch);
    }
    if (how.objective == train_objective::dpo) {
        report.loss       = pairs.loss / whole;
        report.preference = report_of(pairs);
    }
    return true;
}

void train_run::update(step_report & report) {
    if (how.clip > 0) {
        clip_gradients(adapted.parameters, report.gradient_norm, how.clip, how.threads);
    }
    const int64_t                   number     = descent.state().steps;
    const bool                      is_checked = number < checked_updates;
    std::vector<std::vector<float>> before;
    for (const train_parameter & parameter : adapted.parameters) {
        before.push_back(is_checked ? parameter.values : std::vector<float>());
    }
    descent.step(adapted.parameters, report.learning_rate, how.threads);
    pass.follow_load();
    pass.write(adapted);
    if (is_checked) {
        const double plain_rate = how.optimiser.kind == optimiser_kind::sgd ? report.learning_rate : 0;
        report.unmoved          = unmoved_by({ number, before, report.learnt_tokens, report.attending, how.objective == train_objective::dpo, !report.used_counts.empty(), plain_rate }, adapted);
    }
}

void train_run::follow(guardian_action action, step_report & report) {
    if (action == guardian_action::go_on) {
        if (steps - good_at >= steps_between_good_states) {
            keep_good_state();
        }
        update(report);
        if (averages) {
            averages->follow();
        }
    } else if (action == guardian_action::roll_back) {
        roll_back();
    }
}

std::optional<step_report> train_run::step(const std::function<bool()> & go_on) {
    const auto           began  = std::chrono::steady_clock::now();
    const packing_cursor cursor = batches.cursor();
    step_report          report;
    report.step          = steps + 1;
    report.epoch         = cursor.epoch;
    report.learning_rate = learning_rate_at(how.schedule, steps);
    if (!accumulate(report, go_on)) {
        batches.restore(cursor);
        return std::nullopt;
    }
    report.gradient_norm = summarise_gradients(adapted.parameters, how.threads).norm;
    report.verdict       = watch.judge(report.loss, report.gradient_norm);
    follow(report.verdict.action, report);
    steps++;
    report.copies  = pass.report();
    report.seconds = seconds_since(began);
    return report;
}

run_state train_run::state() {
    keep_good_state();
    run_state state{ origin, steps, batches.cursor(), watch.state(), descent.state(), {}, averages ? averages->state() : std::vector<std::vector<float>>(), how.adapter.chosen };
    for (const train_parameter & parameter : adapted.parameters) {
        state.parameters.push_back({ parameter.name, parameter.n0, parameter.n1, parameter.n2, parameter.values, {} });
    }
    return state;
}

void train_run::restore(run_state state) {
    refuse_other_base(state.origin, file);
    refuse_other_origin(state.origin, origin);
    const auto same = [](const train_parameter & a, const train_parameter & b) { return a.name == b.name && a.n0 == b.n0 && a.n1 == b.n1 && a.n2 == b.n2 && a.values.size() == b.values.size(); };
    if (state.chosen.experts != how.adapter.chosen.experts || !std::equal(state.parameters.begin(), state.parameters.end(), adapted.parameters.begin(), adapted.parameters.end(), same)) {
        throw user_error("request.invalid", "The checkpoint trains other tensors than these settings. Resume with the settings that it was made with.", {});
    }
    if (state.step < 0) {
        throw user_error("request.invalid", "The checkpoint is of step " + std::to_string(state.step) + ", which no run makes. Resume from another one.", { { "step", state.step } });
    }
    restore_stand_ins(averages, std::move(state.stand_ins));
    batches.restore(state.cursor);
    watch.restore(std::move(state.guardian));
    descent.restore(std::move(state.optimiser));
    for (size_t i = 0; i < state.parameters.size(); i++) {
        adapted.parameters[i].values = std::move(state.parameters[i].values);
    }
    pass.write(adapted);
    steps = state.step;
    keep_good_state();
}

std::vector<tensor_movement> train_run::movement() const {
    std::vector<tensor_movement> all;
    std::set<size_t>             pairs;
    for (const adapted_tensor & tensor : adapted.tensors) {
        pairs.insert({ tensor.a, tensor.b });
        const std::vector<double> norms = adapter_norms(adapted, tensor);
        all.push_back({ tensor.base, std::vector<double>(tensor.experts.empty() ? norms.size() : size_t(shape.experts), 0.0) });
        for (size_t i = 0; i < norms.size(); i++) {
            all.back().norms[tensor.experts.empty() ? i : size_t(tensor.experts[i])] = norms[i];
        }
    }
    for (size_t i = 0; i < adapted.parameters.size(); i++) {
        if (pairs.count(i) == 0) {
            all.push_back({ adapted.parameters[i].name, { whole_distance(file, adapted.parameters[i], how.adapter.seed) } });
        }
    }
    return all;
}

}  // namespace moebius
