#include "methods.h"

#include "model/host.h"
#include "rpc/parameters.h"
#include "run-fit.h"
#include "run-time.h"

#include <cmath>

namespace moebius {

namespace {

constexpr int64_t most_tokens = 1 << 20, most_examples = int64_t(1) << 40;

std::vector<length_count> lengths_of(const json & wanted) {
    std::vector<length_count> lengths;
    for (const json & each : wanted) {
        parameters of(each, "lengths");
        lengths.push_back({ uint32_t(of.integer("tokens", 2, most_tokens)), uint64_t(of.integer("examples", 1, most_examples)) });
        of.finish();
    }
    return lengths;
}

json time_to_json(const std::optional<run_time> & time, const run_outline & run) {
    if (!time) {
        return nullptr;
    }
    return { { "stepSeconds", time->step_seconds },
             { "seconds", time->seconds },
             { "measuredLayers", time->measured_layers },
             { "layers", run.shape.layers },
             { "measuredTokens", time->measured_tokens },
             { "readBandwidth", time->read_bandwidth > 0 ? json(time->read_bandwidth) : json() } };
}

// The folder of an encoded dataset, or lengths in place of one.
example_sizes sizes_wanted(parameters & source, const run_settings & how, std::optional<dataset_file> & data) {
    const json * const lengths = source.optional_array("lengths");
    const double       learnt  = source.optional_number("learnt", 0, 1).value_or(1);
    if (lengths && !how.data.empty()) {
        source.refuse("lengths", "are in place of settings.data; give one of them.");
    }
    if (lengths) {
        return sizes_of(lengths_of(*lengths), learnt, how.objective == train_objective::dpo);
    }
    data.emplace(how.data, "train");
    return sizes_of(*data);
}

json estimate_method(call & request, const json & params) {
    const uint64_t              engine = host_process_bytes();
    parameters                  source(params);
    const json &                wanted = source.object("settings");
    const run_settings          how    = run_settings_of(wanted, !source.has("lengths"));
    std::optional<dataset_file> data;
    const example_sizes         sizes = sizes_wanted(source, how, data);
    const bool                  timed = source.optional_boolean("time").value_or(true);
    source.finish();
    const run_outline     run     = outline_of(how);
    const planned_batches batches = plan_batches(how, sizes, run.shape.vocabulary);
    const run_memory      memory  = estimate_run_memory(run, batches);
    request.throw_if_cancelled();
    std::optional<run_time> time;
    if (timed && !memory.short_device()) {
        time = estimate_run_time(run, batches, memory, [&] { return !request.cancelled; });
        request.throw_if_cancelled();
    }
    json made               = run_memory_to_json(memory);
    made["engineBytes"]     = engine;
    made["tokensPerStep"]   = batches.tokens * double(how.batches_per_step);
    made["stepsOfEpoch"]    = batches.batches_of_epoch / double(how.batches_per_step);
    made["steps"]           = how.schedule.steps;
    made["time"]            = time_to_json(time, run);
    return made;
}

}  // namespace

void refuse_run_unless_it_fits(const run_settings & how) {
    dataset_file      data(how.data, "train");
    const run_outline run = outline_of(how);
    refuse_unless_fits(estimate_run_memory(run, plan_batches(how, sizes_of(data), run.shape.vocabulary)), how);
}

void add_train_estimate_method(dispatcher & methods) {
    methods.add("train.estimate", lane::job, [](call & request, const json & params) { return estimate_method(request, params); });
}

}  // namespace moebius
