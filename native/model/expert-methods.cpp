#include "expert-methods.h"

#include "experts.h"
#include "experts/layout/layout-order.h"
#include "experts/simulate/device-report.h"
#include "experts/simulate/replay-report.h"
#include "host.h"
#include "inspect.h"
#include "load-progress.h"
#include "rpc/parameters.h"

#include <limits>

namespace moebius {

namespace {

// One letter an expert: on disk, moving, in RAM.
std::string letters(const std::vector<expert_tier> & tiers) {
    std::string text;
    for (const expert_tier tier : tiers) {
        text += tier == expert_tier::ram ? 'r' : tier == expert_tier::moving ? 'm' : 'd';
    }
    return text;
}

json counters_to_json(const expert_layer_counters & counters) {
    return {
        { "hits", counters.hits },
        { "late", counters.late },
        { "misses", counters.misses },
        { "stalledMilliseconds", double(counters.stalled_us) / 1000 },
    };
}

json prefetch_counters_to_json(const prefetch_counters & counters) {
    return {
        { "uses", counters.uses }, { "right", counters.right }, { "read", counters.read },
        { "used", counters.used }, { "late", counters.late },   { "wasted", counters.wasted },
    };
}

json prefetch_to_json(const loaded_experts & experts) {
    const std::vector<prefetch_report> reports    = experts.store.prefetch_reports();
    json                               predictors = json::array();
    for (uint32_t p = 0; p < expert_predictors; p++) {
        json layers = json::array();
        for (size_t i = 0; i < reports[p].layers.size(); i++) {
            layers.push_back(prefetch_counters_to_json(reports[p].layers[i]));
            layers.back()["layer"] = experts.store.layout().layers[i].block;
        }
        json predictor                 = prefetch_counters_to_json(reports[p].total());
        predictor["name"]              = expert_predictor_name(expert_predictor(p));
        predictor["depth"]             = reports[p].control.depth;
        predictor["leastProbability"]  = reports[p].control.least;
        predictor["savedMilliseconds"] = reports[p].saved * 1000;
        predictor["lostMilliseconds"]  = reports[p].lost * 1000;
        predictor["layers"]            = std::move(layers);
        predictors.push_back(std::move(predictor));
    }
    return {
        { "mode", prefetch_mode(experts.store.settings().prefetch) },
        { "computeMilliseconds", experts.ahead ? experts.ahead->seconds() * 1000 : 0.0 },
        { "predictors", std::move(predictors) },
    };
}

json store_to_json(const loaded_experts & experts) {
    const expert_store &        store    = experts.store;
    const expert_store_counters counters = store.counters();
    const std::vector<uint32_t> slots    = store.shape().slots;
    const auto                  tiers    = store.tiers();
    json                        layers   = json::array();
    for (size_t i = 0; i < slots.size(); i++) {
        json layer      = counters_to_json(counters.layers[i]);
        layer["layer"]  = store.layout().layers[i].block;
        layer["slots"]  = slots[i];
        layer["tiers"]  = letters(tiers[i]);
        layers.push_back(std::move(layer));
    }
    json result             = counters_to_json(counters.total());
    result["policy"]        = store.settings().policy;
    result["ramBytes"]      = store.slot_bytes();
    result["ramBytesLeast"] = expert_slots_least_bytes(store.layout());
    result["ramBytesMost"]  = expert_slots_most_bytes(store.layout());
    result["diskBytes"]     = store.layout().bytes();
    result["prefetch"]      = prefetch_to_json(experts);
    result["bytesRead"]     = counters.bytes_read;
    result["layoutFile"]    = store.layout().layers.front().is_packed() ? json(store.layout().files[store.layout().layers.front().packed.file]) : json(nullptr);
    result["layers"]        = std::move(layers);
    return result;
}

int32_t take_model(parameters & source) {
    return int32_t(source.integer("model", 0, std::numeric_limits<int32_t>::max()));
}

json status(const json & params, const model_registry & registry) {
    parameters    source(params);
    const int32_t model = take_model(source);
    source.finish();
    const model_lease lease = registry.lease(model);
    return { { "store", lease->experts ? store_to_json(*lease->experts) : json(nullptr) } };
}

void refuse_more_than_free(const expert_store & store, uint64_t wanted) {
    const uint64_t now  = store.slot_bytes();
    const uint64_t free = host_memory_now().available;
    if (wanted > now && wanted - now > free) {
        throw user_error("model.does-not-fit",
                         "The expert cache would need " + std::to_string(wanted - now) + " more bytes of RAM, and " + std::to_string(free) +
                             " are free. Give it at most " + std::to_string(now + free) + " bytes.",
                         { { "need", wanted - now }, { "have", free } });
    }
}

json configure(const json & params, const model_registry & registry) {
    parameters    source(params);
    const int32_t model  = take_model(source);
    const auto    bytes  = source.optional_integer("ramBytes", 1, int64_t(1) << 53);
    const auto    policy = source.optional_choice("policy", cache_policy_names());
    const auto    mode   = source.optional_choice("prefetch", prefetch_modes());
    source.finish();
    const model_lease lease = registry.lease(model);
    if (!lease->experts) {
        throw user_error("request.invalid", "The model has no expert cache: all its experts are loaded. Load it with expertRamBytes to have one.",
                         { { "parameter", "model" } });
    }
    expert_store & store = lease->experts->store;
    if (bytes) {
        const uint64_t wanted = std::min(uint64_t(*bytes), expert_slots_most_bytes(store.layout()));
        refuse_more_than_free(store, wanted);
        store.resize(wanted);
    }
    if (policy) {
        store.set_policy(*policy);
    }
    if (mode && prefetch_mode(store.settings().prefetch) != *mode) {
        store.set_prefetch(*mode == "auto");
    }
    return { { "store", store_to_json(*lease->experts) } };
}

json gain_to_json(const layout_gain & gain) {
    return { { "tokens", gain.tokens }, { "expertsPerToken", gain.chosen }, { "piecesByIndex", gain.pieces_by_index }, { "pieces", gain.pieces } };
}

json write_layout(call & request, const json & params) {
    parameters    source(params);
    const std::string path  = source.string("path", 1);
    const auto        trace = source.optional_string("trace", 1);
    load_progress     progress(request, source.optional_string("progressToken"));
    source.finish();
    const gguf_model    file   = gguf_open(path);
    const expert_layout layout = expert_layout_usable(file, inspect_model(file));
    if (layout.empty()) {
        throw user_error("request.invalid", path + " has no routed experts that the expert cache could read from a layout file.", { { "parameter", "path" } });
    }
    layout_orders orders = layout_orders_by_index(layout);
    json          gain   = nullptr;
    if (trace) {
        const routing_trace recorded = trace_read(*trace);
        orders                       = layout_orders_from(layout, recorded);
        gain                         = gain_to_json(layout_gain_of(layout, recorded));
    }
    const std::string to    = layout_path_of(file);
    const uint64_t    bytes = layout_write(layout, layout_fingerprint(file, layout), orders, to,
                                           [&](uint64_t done, uint64_t total) { return progress.report("layout", double(done) / double(total)); });
    if (bytes == 0) {
        request.throw_if_cancelled();
    }
    return { { "path", to }, { "bytes", bytes }, { "gain", std::move(gain) } };
}

}  // namespace

void add_expert_methods(dispatcher & methods, const model_registry & registry) {
    methods.add("experts.status", lane::job, [&](call &, const json & params) { return status(params, registry); });
    methods.add("experts.configure", lane::job, [&](call &, const json & params) { return configure(params, registry); });
    methods.add("experts.writeLayout", lane::job, [](call & request, const json & params) { return write_layout(request, params); });
    methods.add("experts.replay", lane::job, [](call & request, const json & params) {
        return replay_report(params, [&] { request.throw_if_cancelled(); });
    });
    methods.add("experts.replayDevices", lane::job, [](call & request, const json & params) {
        return device_report(params, [&] { request.throw_if_cancelled(); });
    });
}

}  // namespace moebius
