#include "expert-device-status.h"

#include "experts/dispatch/device-dispatch.h"

namespace moebius {

namespace {

// Two hexadecimal digits an expert: a bit for each device that holds a whole copy.
std::string copies_to_text(const layer_placement & placement) {
    static const char * digits = "0123456789abcdef";
    std::string         text;
    for (const device_set set : placement) {
        text += digits[set >> 4 & 15];
        text += digits[set & 15];
    }
    return text;
}

json cost_to_json(const batch_cost & cost) {
    return { { "fixed", cost.fixed * 1000 }, { "perExpert", cost.per_expert * 1000 }, { "perToken", cost.per_token * 1000 } };
}

json layers_to_json(const device_dispatch & devices, const std::optional<low_report> & low) {
    const auto                     placement = devices.tier.placement();
    const std::vector<layer_times> times     = devices.seen().times();
    json                           layers    = json::array();
    for (uint32_t i = 0; i < placement.size(); i++) {
        json slots = json::array(), busy = json::array();
        for (uint32_t d = 0; d < devices.tier.size(); d++) {
            slots.push_back(devices.tier.slots(i, d));
        }
        for (const double seconds : times[i].busy) {
            busy.push_back(seconds * 1000);
        }
        layers.push_back({ { "layer", devices.tier.layout().layers[i].block },
                           { "slots", std::move(slots) },
                           { "copies", copies_to_text(placement[i]) },
                           { "lowCopies", low ? copies_to_text(low->copies[i]) : "" },
                           { "totalMilliseconds", times[i].total * 1000 },
                           { "busyMilliseconds", std::move(busy) } });
    }
    return layers;
}

json precision_to_json(const std::optional<low_report> & low) {
    return low ? json{ { "type", ggml_type_name(low->choice.type) }, { "share", low->choice.share }, { "calibratedLayers", low->calibrated } } : json(nullptr);
}

}  // namespace

json expert_devices_to_json(const device_dispatch & devices) {
    const std::vector<device_counters> counters = devices.tier.counters();
    const std::vector<fetch_counters>  fetched  = devices.seen().fetches();
    const std::vector<bool>            lost     = devices.tier.lost();
    const std::vector<uint64_t>        budgets  = devices.tier.budgets();
    const std::vector<batch_cost>      costs    = devices.seen().costs();
    const std::vector<double>          links    = devices.tier.device_links();
    const std::optional<low_report>    low      = devices.low_precision();
    json                               list     = json::array();
    for (uint32_t d = 0; d < devices.tier.size(); d++) {
        list.push_back({ { "id", devices.tier.device(d).id() },
                         { "lost", bool(lost[d]) },
                         { "budgetBytes", budgets[d] },
                         { "bytes", devices.tier.device(d).bytes() + (low ? low->bytes[d] : 0) },
                         { "tokens", counters[d].tokens },
                         { "lowTokens", low ? low->tokens[d] : 0 },
                         { "copied", counters[d].copied },
                         { "bytesCopied", counters[d].bytes_copied },
                         { "fetched", fetched[d].experts },
                         { "bytesFetched", fetched[d].bytes },
                         { "rowMilliseconds", links[d] * 1000 },
                         { "cost", cost_to_json(costs[d]) } });
    }
    const std::string error = devices.tier.error();
    return { { "replication", devices.tier.adapts() },
             { "cpuHelps", devices.cpu_helps() },
             { "fetching", devices.fetches() },
             { "replicaPrecision", precision_to_json(low) },
             { "moving", devices.tier.moving() + (low ? low->moving : 0) },
             { "error", error.empty() ? json(nullptr) : json(error) },
             { "cpuTokens", devices.seen().tokens_on_cpu() },
             { "cpuCost", cost_to_json(costs.back()) },
             { "bytesMost", device_slots_bytes(devices.tier.layout(), std::vector<uint32_t>(devices.tier.layout().layers.size(), devices.tier.layout().experts)) },
             { "devices", std::move(list) },
             { "layers", layers_to_json(devices, low) } };
}

void resize_expert_devices(device_dispatch & devices, const std::vector<expert_budget> & wanted) {
    std::vector<uint64_t> bytes = devices.tier.budgets();
    for (const expert_budget & budget : wanted) {
        uint32_t d = 0;
        while (d < devices.tier.size() && devices.tier.device(d).id() != budget.id) {
            d++;
        }
        if (d == devices.tier.size()) {
            throw user_error("request.invalid", "The model was loaded without '" + budget.id + "': its experts cannot be copied there. Name it in `devices` or `expertDevices` when the model is loaded.",
                             { { "parameter", "devices" }, { "device", budget.id } });
        }
        bytes[d] = budget.bytes;
    }
    devices.resize(bytes);
}

}  // namespace moebius
