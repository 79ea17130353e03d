#include "expert-methods.h"

#include "calibrate-method.h"
#include "experts.h"
#include "expert-device-status.h"
#include "experts/dispatch/device-dispatch.h"
#include "experts/simulate/cache-choice.h"
#include "experts/simulate/device-report.h"
#include "experts/simulate/replay-report.h"
#include "host.h"
#include "layout-method.h"
#include "rpc/parameters.h"

#include <limits>

namespace moebius {

namespace {

constexpr double most_slots = 65536;  // of a layer that make sense in a request

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
        { "used", counters.used }, { "late", counters.late },   { "wasted", counters.wasted }, { "withdrawn", counters.withdrawn },
    };
}

json milliseconds(const std::optional<double> & seconds) {
    return seconds ? json(*seconds * 1000) : json(nullptr);
}

json prefetch_to_json(const loaded_experts & experts) {
    json predictors = json::array();
    for (const prefetch_report & report : experts.store.prefetch_reports()) {
        json layers = json::array();
        for (size_t i = 0; i < report.layers.size(); i++) {
            layers.push_back(prefetch_counters_to_json(report.layers[i]));
            layers.back()["layer"] = experts.store.layout().layers[i].block;
        }
        json predictor                 = prefetch_counters_to_json(report.total());
        predictor["name"]              = report.by;
        predictor["depth"]             = report.control.depth;
        predictor["leastProbability"]  = report.control.least;
        predictor["savedMilliseconds"] = milliseconds(report.saved);
        predictor["lostMilliseconds"]  = milliseconds(report.lost);
        predictor["layers"]            = std::move(layers);
        predictors.push_back(std::move(predictor));
    }
    return {
        { "mode", prefetch_mode(experts.store.settings().prefetch) },
        { "computeMilliseconds", experts.ahead ? experts.ahead->seconds() * 1000 : 0.0 },
        { "predictors", std::move(predictors) },
    };
}

// null: nothing is known of them.
json super_experts_to_json(const expert_store * store) {
    const auto known = store ? store->super_experts() : std::nullopt;
    if (!known) {
        return nullptr;
    }
    json list = json::array();
    for (const super_expert & one : *known) {
        list.push_back({ { "layer", store->layout().layers[one.expert.layer].block },
                         { "expert", one.expert.expert },
                         { "peak", one.peak },
                         { "protected", store->is_protected(one.expert) } });
    }
    return list;
}

json store_to_json(const loaded_experts & experts) {
    const expert_storage &      store    = experts.store;
    const expert_store_counters counters = store.counters();
    const std::vector<uint32_t> slots    = store.layer_slots();
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
    result["storage"]       = store.kind();
    result["policy"]        = store.settings().policy;
    result["ramBytes"]      = experts.lossy.slot_bytes();
    result["ramBytesLeast"] = experts.lossy.least_bytes();
    result["ramBytesMost"]  = store.most_bytes();
    result["diskBytes"]     = store.layout().bytes();
    result["prefetch"]      = prefetch_to_json(experts);
    result["bytesRead"]     = counters.bytes_read;
    result["bytesHidden"]   = counters.bytes_hidden;
    result["layoutFile"]    = store.layout().layers.front().is_packed() ? json(store.layout().files[store.layout().layers.front().packed.file]) : json(nullptr);
    result["layers"]        = std::move(layers);
    result["lossy"]         = lossy_to_json(experts.lossy, store.layout());
    result["superExperts"]  = super_experts_to_json(dynamic_cast<const expert_store *>(&store));
    return result;
}

int32_t take_model(parameters & source) {
    return int32_t(source.integer("model", 0, std::numeric_limits<int32_t>::max()));
}

json status_to_json(const loaded_experts * experts) {
    return { { "store", experts ? store_to_json(*experts) : json(nullptr) },
             { "devices", experts && experts->devices ? expert_devices_to_json(*experts->devices) : json(nullptr) } };
}

json status(const json & params, const model_registry & registry) {
    parameters    source(params);
    const int32_t model = take_model(source);
    source.finish();
    const model_lease lease = registry.lease(model);
    return status_to_json(lease->experts.get());
}

void refuse_more_than_free(uint64_t now, uint64_t wanted) {
    const uint64_t free = host_memory_now().available;
    if (wanted > now && wanted - now > free) {
        throw user_error("model.does-not-fit",
                         "The expert cache would need " + std::to_string(wanted - now) + " more bytes of RAM, and " + std::to_string(free) +
                             " are free. Give it at most " + std::to_string(now + free) + " bytes.",
                         { { "need", wanted - now }, { "have", free } });
    }
}

void share_out(expert_store & store, const std::vector<double> & slots) {
    if (slots.size() != store.layout().layers.size()) {
        throw user_error("request.invalid",
                         "slots names " + std::to_string(slots.size()) + " layers, and the model has " + std::to_string(store.layout().layers.size()) +
                             " with experts. Give one number for each.",
                         { { "parameter", "slots" } });
    }
    store.share_out(std::vector<uint32_t>(slots.begin(), slots.end()));
}

// What experts.configure changes of the store; what is open stays.
struct store_change {
    std::optional<int64_t>             bytes;
    std::optional<std::string>         policy;
    std::optional<std::string>         allocation;
    std::optional<std::vector<double>> slots;
    std::optional<std::string>         prefetch;
    const json *                       super_experts = nullptr;
    std::optional<lossy_request>       lossy;
};

// [{layer: block index, expert, peak}]
std::vector<super_expert> super_experts_parse(const json & list, const expert_layout & layout) {
    std::vector<super_expert> experts;
    for (const json & each : list) {
        parameters    source(each, "superExperts");
        const int64_t block  = source.integer("layer", 0, std::numeric_limits<int32_t>::max());
        const auto    expert = uint32_t(source.integer("expert", 0, int64_t(layout.experts) - 1));
        const auto    peak   = source.optional_number("peak", 0, std::numeric_limits<float>::max());
        source.finish();
        const auto layer = std::find_if(layout.layers.begin(), layout.layers.end(), [&](const expert_layer & one) { return one.block == block; });
        if (layer == layout.layers.end()) {
            source.refuse("layer", "has to be a block with experts");
        }
        experts.push_back({ { uint32_t(layer - layout.layers.begin()), expert }, float(peak.value_or(0)) });
    }
    return experts;
}

store_change take_store_change(parameters & source) {
    store_change change;
    change.bytes      = source.optional_integer("ramBytes", 1, int64_t(1) << 53);
    change.policy     = source.optional_choice("policy", cache_policy_names());
    change.allocation = source.optional_choice("slotAllocation", { "uniform", "shallow" });
    change.slots      = source.optional_numbers("slots", 1, most_slots);
    change.prefetch   = source.optional_choice("prefetch", prefetch_modes());
    change.super_experts = source.optional_array("superExperts");
    if (const json * wanted = source.optional_object("lossyExperts")) {
        change.lossy = lossy_parse(*wanted);
    }
    if (change.allocation && change.slots) {
        source.refuse("slots", "and slotAllocation contradict each other; give one of them");
    }
    return change;
}

void apply(loaded_experts & experts, const store_change & change) {
    if (!experts.slots() && (change.policy || change.allocation || change.slots || change.super_experts)) {
        throw user_error("request.invalid",
                         "This model's experts are in a ring that all layers take in turn: there is no policy and no share of a layer to choose. With more RAM (expertRamBytes) it is "
                         "loaded with slots for every layer.",
                         { { "parameter", change.policy ? "policy" : change.allocation ? "slotAllocation" : change.slots ? "slots" : "superExperts" } });
    }
    if (change.bytes) {
        const uint64_t wanted = std::min(uint64_t(*change.bytes), experts.store.most_bytes());
        refuse_more_than_free(experts.lossy.slot_bytes(), wanted);
        experts.lossy.resize(wanted);
    }
    if (change.prefetch && prefetch_mode(experts.store.settings().prefetch) != *change.prefetch) {
        experts.store.set_prefetch(*change.prefetch == "auto");
    }
    if (!experts.slots()) {
        return;
    }
    expert_store & store = *experts.slots();
    if (change.policy) {
        store.set_policy(*change.policy);
    }
    const uint64_t bytes_now = store.settings().ram_bytes;
    if (change.allocation) {
        store.share_out(*change.allocation == "shallow" ? expert_slots_shallow(store.layout(), bytes_now) : expert_slots_for(store.layout(), bytes_now));
    }
    if (change.slots) {
        share_out(store, *change.slots);
    }
    if (change.super_experts) {
        store.remember_super_experts(super_experts_parse(*change.super_experts, store.layout()));
    }
}

json configure(const json & params, const model_registry & registry) {
    parameters         source(params);
    const int32_t      model     = take_model(source);
    const store_change change    = take_store_change(source);
    const json *       devices   = source.optional_array("devices");
    const auto         replicate = source.optional_boolean("replication");
    const auto         cpu_helps = source.optional_boolean("cpuHelps");
    const auto         fetching  = source.optional_boolean("fetching");
    const json *       low       = source.optional_object("replicaPrecision");
    source.finish();
    const model_lease lease = registry.lease(model);
    if (!lease->experts) {
        throw user_error("request.invalid", "The model has no expert cache: all its experts are loaded. Load it with expertRamBytes to have one.",
                         { { "parameter", "model" } });
    }
    apply(*lease->experts, change);
    if (change.lossy) {
        apply_lossy(lease->experts->lossy, *change.lossy, gguf_open(lease->path), lease->experts->store.layout());
    }
    if (lease->experts->devices) {
        device_dispatch & on = *lease->experts->devices;
        if (devices) {
            resize_expert_devices(on, expert_devices_parse(*devices, "devices"));
        }
        on.set_adapts(replicate.value_or(on.tier.adapts()));
        if (low) {
            const replica_precision choice = replica_precision_parse(*low, "replicaPrecision");
            on.set_low_precision(choice.share > 0 ? std::optional(to_low_precision(choice)) : std::nullopt);
        }
        on.set_cpu_helps(cpu_helps.value_or(on.cpu_helps()));
        on.set_fetches(fetching.value_or(on.fetches()));
    } else if (devices || replicate || cpu_helps || fetching || low) {
        throw user_error("request.invalid", "The model was loaded without GPUs for its experts. Load it with expertDevices to have some.", { { "parameter", "devices" } });
    }
    return status_to_json(lease->experts.get());
}

}  // namespace

void add_expert_methods(dispatcher & methods, const model_registry & registry) {
    methods.add("experts.status", lane::job, [&](call &, const json & params) { return status(params, registry); });
    methods.add("experts.configure", lane::job, [&](call &, const json & params) { return configure(params, registry); });
    methods.add("experts.writeLayout", lane::job, [&](call & request, const json & params) { return write_layout(request, params, registry); });
    methods.add("experts.calibrate", lane::job, [&](call & request, const json & params) { return calibrate_model(request, params, registry); });
    methods.add("experts.replay", lane::job, [](call & request, const json & params) {
        return replay_report(params, [&] { request.throw_if_cancelled(); });
    });
    methods.add("experts.choose", lane::job, [](call & request, const json & params) {
        return choice_report(params, [&] { request.throw_if_cancelled(); });
    });
    methods.add("experts.replayDevices", lane::job, [](call & request, const json & params) {
        return device_report(params, [&] { request.throw_if_cancelled(); });
    });
}

}  // namespace moebius
