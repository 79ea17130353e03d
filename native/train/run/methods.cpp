#include "methods.h"

#include "train/estimate/methods.h"
#include "checkpoint.h"
#include "expert-choice.h"
#include "export-method.h"
#include "model/load-progress.h"
#include "rpc/parameters.h"

#include <limits>
#include <map>
#include <mutex>
#include <numeric>
#include <thread>

namespace moebius {

namespace {

struct open_run {
    std::mutex mutex;
    json       settings;  // as they were given
    train_run  run;

    // how: what was made of `wanted`
    open_run(const json & wanted, const run_settings & how) : settings(wanted), run(how) {}
};

class open_runs {
  public:
    int64_t add(std::shared_ptr<open_run> run) {
        const std::lock_guard<std::mutex> lock(mutex);
        runs[++last] = std::move(run);
        return last;
    }

    std::shared_ptr<open_run> find(int64_t id) {
        const std::lock_guard<std::mutex> lock(mutex);
        const auto                        found = runs.find(id);
        if (found == runs.end()) {
            throw user_error("request.invalid", "There is no training run " + std::to_string(id) + ". Open it first (train.open).", { { "parameter", "run" } });
        }
        return found->second;
    }

    void close(int64_t id) {
        find(id);
        const std::lock_guard<std::mutex> lock(mutex);
        runs.erase(id);
    }

  private:
    std::mutex                                   mutex;
    std::map<int64_t, std::shared_ptr<open_run>> runs;
    int64_t                                      last = 0;
};

int64_t take_run(parameters & source) {
    return source.integer("run", 1, std::numeric_limits<int64_t>::max());
}

int64_t only_run(const json & params) {
    parameters    source(params);
    const int64_t id = take_run(source);
    source.finish();
    return id;
}

json to_json(const expert_choice & choice) {
    json layers = json::array();
    for (size_t layer = 0; layer < choice.experts.size(); layer++) {
        if (!choice.experts[layer].empty()) {
            layers.push_back({ { "layer", layer }, { "experts", choice.experts[layer] }, { "affinities", choice.affinities.empty() ? json::array() : json(choice.affinities[layer]) } });
        }
    }
    return { { "sampledTokens", choice.affinities.empty() ? json() : json(choice.sampled_tokens) }, { "layers", std::move(layers) } };
}

json opened(int64_t id, open_run & of) {
    const train_run & run = of.run;
    json              tensors = json::array();
    uint64_t          numbers = 0;
    for (const train_parameter & parameter : run.trained().parameters) {
        tensors.push_back({ { "name", parameter.name }, { "shape", { parameter.n0, parameter.n1, parameter.n2 } } });
        numbers += parameter.values.size();
    }
    json made = { { "run", id },
             { "step", run.step_count() },
             { "steps", run.settings().schedule.steps },
             { "examples", run.examples() },
             { "validates", run.has_validation() },
             { "parameters", numbers },
             { "tensors", std::move(tensors) },
             { "optimiserBytes", run.optimiser_bytes() } };
    if (!run.settings().adapter.chosen.experts.empty()) {
        made["chosenExperts"] = to_json(run.settings().adapter.chosen);
    }
    return made;
}

// Nothing: stopped. from: to go on from.
std::shared_ptr<open_run> make_run(const json & wanted, std::optional<checkpoint> from, const std::function<bool(double)> & go_on) {
    if (from) {
        refuse_other_settings(from->settings, wanted);
    }
    const auto how = from ? settings_to_go_on(wanted, from->state.chosen) : with_chosen_experts(run_settings_of(wanted), go_on);
    if (!how) {
        return nullptr;
    }
    const auto made = std::make_shared<open_run>(wanted, *how);
    if (from) {
        made->run.restore(std::move(from->state));
    }
    return made;
}

json open_method(call & request, const json & params, open_runs & runs) {
    parameters   source(params);
    const json & settings = source.object("settings");
    const auto   from     = source.optional_string("checkpoint", 1);
    load_progress progress(request, source.optional_string("progressToken"));
    source.finish();
    refuse_run_unless_it_fits(run_settings_of(settings));
    const auto made = make_run(settings, from ? std::optional(checkpoint_read(*from)) : std::nullopt, [&](double looked_at) { return progress.report("choose-experts", looked_at); });
    if (!made) {
        request.throw_if_cancelled();
    }
    const int64_t id = runs.add(made);
    return opened(id, *made);
}

const char * action_name(guardian_action action) {
    return action == guardian_action::go_on ? "go-on" : action == guardian_action::skip ? "skip" : "roll-back";
}

json with_preference(json report, const std::optional<preference_report> & of) {
    if (of) {
        report["preference"] = { { "accuracy", of->accuracy }, { "margin", of->margin }, { "chosenReward", of->chosen_reward }, { "rejectedReward", of->rejected_reward } };
    }
    return report;
}

json to_json(const step_report & report) {
    json unmoved = json::array();
    for (const unmoved_part & part : report.unmoved) {
        unmoved.push_back({ { "name", part.name }, { "expert", part.expert < 0 ? json() : json(part.expert) }, { "hasGradient", part.has_gradient } });
    }
    const expert_copies_report & copies  = report.copies;
    json                         devices = { { "copies", copies.copies }, { "assignments", copies.assignments }, { "frozenBytes", copies.frozen_bytes }, { "adapterBytes", copies.adapter_bytes } };
    json                         made    = { { "step", report.step },
             { "loss", report.loss },
             { "balanceLoss", report.balance },
             { "zLoss", report.z },
             { "learningRate", report.learning_rate },
             { "gradientNorm", report.gradient_norm },
             { "tokens", report.tokens },
             { "targets", report.targets },
             { "fill", report.fill },
             { "epoch", report.epoch },
             { "seconds", report.seconds },
             { "guardian", { { "action", action_name(report.verdict.action) }, { "reason", report.verdict.reason } } },
             { "expertTokens", report.expert_tokens },
             { "devices", copies.assignments.size() > 1 ? std::move(devices) : json() },
             { "unmoved", std::move(unmoved) } };
    if (!report.used_counts.empty()) {
        made["expertUsedCounts"] = report.used_counts;
    }
    return with_preference(std::move(made), report.preference);
}

json to_json(const validation_report & report) {
    json made = { { "loss", report.loss }, { "targets", report.targets }, { "seconds", report.seconds } };
    for (const validation_report::with_count & each : report.by_used_count) {
        made["byExpertUsedCount"].push_back({ { "expertUsedCount", each.used_count }, { "loss", each.loss } });
    }
    return with_preference(std::move(made), report.preference);
}

json step_method(call & request, const json & params, open_runs & runs) {
    const auto                        of = runs.find(only_run(params));
    const std::lock_guard<std::mutex> lock(of->mutex);
    if (of->run.done()) {
        throw user_error("request.invalid", "The run has done all of its " + std::to_string(of->run.step_count()) + " steps.", { { "parameter", "run" } });
    }
    const auto report = of->run.step([&] { return !request.cancelled; });
    if (!report) {
        request.throw_if_cancelled();
    }
    return to_json(report.value());  // of a step that was cancelled too late: it is done, and who asked has to know
}

json validate_method(call & request, const json & params, open_runs & runs) {
    const auto                        of = runs.find(only_run(params));
    const std::lock_guard<std::mutex> lock(of->mutex);
    const auto                        report = of->run.validate([&] { return !request.cancelled; });
    if (!report) {
        request.throw_if_cancelled();
        throw user_error("request.invalid", "The dataset has no validation part. Encode it with one (--validation 0.05).", {});
    }
    return to_json(*report);
}

json save_method(const json & params, open_runs & runs) {
    parameters        source(params);
    const auto        of   = runs.find(take_run(source));
    const std::string path = source.string("path", 1);
    source.finish();
    const std::lock_guard<std::mutex> lock(of->mutex);
    checkpoint_write({ of->settings, of->run.state() }, path);
    return { { "path", path }, { "step", of->run.step_count() } };
}

json movement_method(const json & params, open_runs & runs) {
    const auto                        of = runs.find(only_run(params));
    const std::lock_guard<std::mutex> lock(of->mutex);
    json                              result = json::array();
    for (const tensor_movement & each : of->run.movement()) {
        result.push_back({ { "tensor", each.tensor }, { "norms", each.norms } });
    }
    return { { "tensors", std::move(result) } };
}

}  // namespace

void add_train_methods(dispatcher & methods) {
    const auto runs = std::make_shared<open_runs>();
    methods.add("train.open", lane::job, [runs](call & request, const json & params) { return open_method(request, params, *runs); });
    add_train_estimate_method(methods);
    methods.add("train.step", lane::job, [runs](call & request, const json & params) { return step_method(request, params, *runs); });
    methods.add("train.validate", lane::job, [runs](call & request, const json & params) { return validate_method(request, params, *runs); });
    methods.add("train.save", lane::job, [runs](call &, const json & params) { return save_method(params, *runs); });
    methods.add("train.movement", lane::job, [runs](call &, const json & params) { return movement_method(params, *runs); });
    methods.add("train.close", lane::job, [runs](call &, const json & params) {
        runs->close(only_run(params));
        return json::object();
    });
    methods.add("train.export", lane::job, export_method);
}

}  // namespace moebius
