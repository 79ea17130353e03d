#include "device-report.h"

#include "device-replay.h"
#include "rpc/parameters.h"

#include <algorithm>

namespace moebius {

namespace {

struct device_request {
    std::optional<std::string> path;
    synthetic_load_settings    synthetic;
    device_replay_settings     settings;
    std::vector<std::string>   policies;
    double                     bytes_per_expert = 0;
    bool                       at_once          = false;
};

synthetic_load_settings take_synthetic(parameters & source, uint32_t batch) {
    const json *            object = source.optional_object("synthetic");
    synthetic_load_settings made;
    made.batch_tokens = batch;
    if (!object) {
        return made;
    }
    parameters own(*object, "synthetic");
    made.layers  = uint32_t(own.optional_integer("layers", 1, trace_layers_limit).value_or(made.layers));
    made.experts = uint32_t(own.optional_integer("experts", 1, trace_experts_limit).value_or(made.experts));
    made.used    = uint32_t(own.optional_integer("used", 1, made.experts).value_or(std::min(made.used, made.experts)));
    made.batches = uint32_t(own.optional_integer("batches", 1, 10000).value_or(made.batches));
    made.skew    = own.optional_number("skew", 0, 4).value_or(made.skew);
    made.drift   = own.optional_number("drift", 0, 4).value_or(made.drift);
    made.topic   = uint32_t(own.optional_integer("topic", 0, 10000).value_or(made.topic));
    made.seed    = uint32_t(own.optional_integer("seed", 0, std::numeric_limits<int32_t>::max()).value_or(made.seed));
    own.finish();
    return made;
}

layer_rig take_rig(parameters & source) {
    const json * devices = source.optional_array("devices");
    layer_rig    rig;
    for (size_t i = 0; devices && i < devices->size(); i++) {
        parameters own(devices->at(i), "devices." + std::to_string(i));
        rig.slots.push_back(uint32_t(own.integer("slots", 1, trace_experts_limit)));
        rig.speeds.push_back(own.optional_number("speed", 1e-6, 1e6).value_or(1.0));
        rig.links.push_back(1 / own.optional_number("bandwidth", 1e-6, 1e15).value_or(1.0));
        own.finish();
    }
    return rig;
}

device_request parse_devices(const json & params) {
    parameters     source(params);
    device_request request;
    const uint32_t batch             = uint32_t(source.optional_integer("batch", 1, 65536).value_or(512));
    request.path                     = source.optional_string("path", 1);
    request.synthetic                = take_synthetic(source, batch);
    request.settings.rig             = take_rig(source);
    request.settings.window          = uint32_t(source.optional_integer("window", 1, 100000).value_or(request.settings.window));
    request.settings.capacity_factor = source.optional_number("capacityFactor", 0, 1000).value_or(request.settings.capacity_factor);
    request.policies                 = source.optional_strings("policies").value_or(rebalancer_names());
    request.bytes_per_expert         = source.optional_number("bytesPerExpert", 0, 1e12).value_or(0.0);
    request.settings.low.most        = source.optional_number("lowShare", 0, 1).value_or(request.settings.low.most);
    request.settings.low.bytes       = source.optional_number("lowBytes", 0.01, 1).value_or(request.settings.low.bytes);
    request.at_once                  = source.optional_boolean("atOnce").value_or(false);
    const bool synthetic             = source.has("synthetic");
    source.finish();
    if (request.path.has_value() == synthetic) {
        source.refuse("path", "or synthetic is needed, one of them");
    }
    for (const std::string & policy : request.policies) {
        const auto & names = rebalancer_names();
        if (std::find(names.begin(), names.end(), policy) == names.end()) {
            source.refuse("policies", "must be names of ways to place experts; there is no " + policy);
        }
    }
    return request;
}

json result_to_json(const std::string & policy, const device_replay_result & result, const device_request & request) {
    return {
        { "policy", policy },
        { "balanceMean", result.balance_mean },
        { "balanceWorst", result.balance_worst },
        { "makespan", result.makespan },
        { "survivedOnDevices", result.survived_devices },
        { "survivedOnCopies", result.survived_copies },
        { "copiesMoved", result.copies_moved },
        { "bytesMoved", double(result.copies_moved) * request.bytes_per_expert },
        { "windows", result.windows },
        { "lowShare", result.low_share },
        { "devicesPerToken", result.devices_per_token },
        { "slowRows", result.slow_rows },
        { "hopsPerToken", result.hops_per_token },
    };
}

}  // namespace

json device_report(const json & params, const std::function<void()> & check) {
    device_request request = parse_devices(params);
    bool           whole   = true;
    json           report  = { { "model", nullptr } };
    std::vector<load_batch> batches;
    if (request.path) {
        const routing_trace trace = trace_read(*request.path);
        report["model"]           = trace.model;
        whole                     = trace.whole;
        batches                   = load_batches(trace, request.synthetic.batch_tokens, request.at_once);
    } else {
        batches = synthetic_loads(request.synthetic);
    }
    if (batches.empty()) {
        throw user_error("request.invalid", "The recording has fewer tokens than one batch of " + std::to_string(request.synthetic.batch_tokens) +
                                                ". Record more, or replay smaller batches (batch).",
                         { { "parameter", "batch" } });
    }
    report["whole"]    = whole;
    report["batches"]  = batches.size();
    report["experts"]  = batches.front().tokens.front().size();
    report["layers"]   = batches.front().tokens.size();
    report["policies"] = json::array();
    for (const std::string & policy : request.policies) {
        check();
        request.settings.policy = policy;
        report["policies"].push_back(result_to_json(policy, replay_on_devices(batches, request.settings, check), request));
    }
    return report;
}

}  // namespace moebius
