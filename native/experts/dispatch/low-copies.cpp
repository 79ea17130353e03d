#include "low-copies.h"

#include "experts/store/expert-store.h"
#include "experts/store/low-precision.h"
#include "rpc/log.h"

#include <numeric>

namespace moebius {

namespace {

uint64_t bytes_of(const expert_layer & layer) {
    return std::accumulate(layer.parts.begin(), layer.parts.end(), uint64_t(0), [](uint64_t sum, const expert_part & part) { return sum + part.bytes; });
}

// Of a budget for all layers, exactly: a budget for n experts of every layer has room for n here.
uint64_t share_of(uint64_t budget, uint64_t layer_bytes, uint64_t all_bytes) {
    return budget / all_bytes * layer_bytes + budget % all_bytes * layer_bytes / all_bytes;
}

std::vector<device_budget> no_budgets(device_tier & full) {
    std::vector<device_budget> budgets;
    for (uint32_t d = 0; d < full.size(); d++) {
        budgets.push_back({ full.device(d).device(), 0 });
    }
    return budgets;
}

}  // namespace

low_copies::low_copies(expert_storage & from, device_tier & beside, const low_precision_choice & choice, uint32_t tokens)
    : source(from), full(beside), chosen(choice), layout(low_precision_layout(from.layout(), choice.type)), tier(from, layout, no_budgets(beside), {}, &beside), layers(layout.layers.size()) {
    if (device_slot_bytes(layout) >= device_slot_bytes(source.layout())) {
        throw user_error("request.invalid", std::string("The model's experts have no more bits than ") + ggml_type_name(chosen.type) + " has: nothing would be saved. Leave replicaPrecision off.",
                         { { "parameter", "replicaPrecision" } });
    }
    const std::vector<uint64_t> budgets = full.budgets();
    for (uint32_t d = 0; d < full.size(); d++) {
        if (budgets[d] > 0 && !device_ffn::supports(full.device(d).device(), layout)) {
            throw user_error("request.invalid", full.device(d).id() + " does not compute with experts in " + ggml_type_name(chosen.type) + ". Choose another type (replicaPrecision).",
                             { { "parameter", "replicaPrecision" }, { "device", full.device(d).id() } });
        }
        ffns.push_back(budgets[d] > 0 ? std::make_unique<device_ffn>(tier.device(d), layout, tokens) : nullptr);
    }
    for (layer_state & state : layers) {
        state.loads.assign(layout.experts, 0.0);
        state.importance.assign(layout.experts, 0.0);
    }
    tier.set_speeds(full.device_speeds(), full.device_links());
    tier.set_adapts(full.adapts());
    tier.start();
    watcher = std::thread([this] { run(); });
}

low_copies::~low_copies() {
    stop();
}

void low_copies::stop() {
    {
        const std::lock_guard<std::mutex> lock(mutex);
        closing = true;
    }
    changed.notify_all();
    if (watcher.joinable()) {
        watcher.join();
    }
    for (uint32_t layer = 0; layer < layers.size(); layer++) {
        full.keep_out(layer, {});
    }
}

device_placement low_copies::begin(const expert_batch & batch, const std::vector<uint32_t> & tokens) {
    {
        const std::lock_guard<std::mutex> lock(mutex);
        layer_state &                     state = layers[batch.layer];
        if (state.seen >= calibration_tokens && !state.due) {
            state.due = true;
            changed.notify_all();
        }
        for (size_t i = 0; i < batch.ids.size(); i++) {
            if (batch.ids[i] < 0) {
                continue;  // computed elsewhere, or left out
            }
            state.loads[size_t(batch.ids[i])] += 1;
            state.importance[size_t(batch.ids[i])] += double(batch.weights[i]) * double(batch.weights[i]);
        }
        state.seen += uint32_t(batch.tokens);
    }
    return tier.begin(batch.layer, tokens, { batch.ids, uint32_t(batch.used) });
}

std::vector<std::vector<bool>> low_copies::low() const {
    const std::lock_guard<std::mutex> lock(mutex);
    std::vector<std::vector<bool>>    all;
    for (const layer_state & state : layers) {
        all.push_back(state.low.empty() ? std::vector<bool>(layout.experts, false) : state.low);
    }
    return all;
}

uint32_t low_copies::calibrated() const {
    const std::lock_guard<std::mutex> lock(mutex);
    return uint32_t(std::count_if(layers.begin(), layers.end(), [](const layer_state & state) { return !state.low.empty(); }));
}

// --- the thread

void low_copies::run() {
    std::unique_lock<std::mutex> lock(mutex);
    while (!closing) {
        const auto due = std::find_if(layers.begin(), layers.end(), [](const layer_state & state) { return state.due; });
        if (due == layers.end()) {
            changed.wait(lock);
        } else {
            look_at(uint32_t(due - layers.begin()), lock);
        }
    }
}

precision_request low_copies::request_of(uint32_t layer, const layer_state & state) const {
    precision_request request;
    request.loads      = state.loads;
    request.importance = state.importance;
    request.speeds     = full.device_speeds();
    request.full_bytes = bytes_of(source.layout().layers[layer]);
    request.low_bytes  = bytes_of(layout.layers[layer]);
    request.share      = chosen.share;
    const auto     budgets = full.budgets();
    const auto     lost    = full.lost();
    const uint64_t all     = device_slot_bytes(source.layout());
    for (size_t d = 0; d < budgets.size(); d++) {
        request.bytes.push_back(lost[d] ? 0 : share_of(budgets[d], request.full_bytes, all));
    }
    if (const auto * store = dynamic_cast<const expert_store *>(&source)) {
        for (uint32_t e = 0; e < layout.experts; e++) {
            request.stay.push_back(store->is_protected({ layer, e }));
        }
    }
    return request;
}

void low_copies::look_at(uint32_t layer, std::unique_lock<std::mutex> & lock) {
    constexpr double  memory = 0.5;  // of what was seen before the last look
    layer_state &     state  = layers[layer];
    const layer_state seen   = state;
    state.due                = false;
    state.seen               = 0;
    for (size_t e = 0; e < state.loads.size(); e++) {
        state.loads[e] *= memory;
        state.importance[e] *= memory;
    }
    lock.unlock();
    const precision_request request = request_of(layer, seen);
    std::vector<bool>       low;
    if (seen.low.empty()) {
        const precision_plan plan = plan_precision(request);
        low                       = plan.low;
        if (plan.low_count() > 0 && !make_slots(layer, plan)) {
            low.assign(low.size(), false);
        }
    } else {
        low = least_important_now(seen.low, request.importance, request.stay);
        if (low != seen.low) {
            keep_apart(layer, low);
        }
    }
    lock.lock();
    state.low = std::move(low);
}

// False: a device has no room after all; everything is as it was.
bool low_copies::make_slots(uint32_t layer, const precision_plan & plan) {
    const device_room before = full.room(), none = tier.room();
    device_room       fewer = before, lower = none;
    for (uint32_t d = 0; d < full.size(); d++) {
        fewer.slots[d][layer] = plan.full_slots[d];
        lower.slots[d][layer] = plan.low_slots[d];
    }
    keep_apart(layer, plan.low);
    try {
        full.resize(fewer);
        tier.resize(lower);
        return true;
    } catch (const user_error & error) {
        log_write(log_level::warn, std::string("Copies in low precision: ") + error.what());
    }
    full.keep_out(layer, {});
    try {
        tier.resize(none);
        full.resize(before);
    } catch (const user_error & error) {
        log_write(log_level::error, std::string("Copies of experts: ") + error.what());
    }
    return false;
}

void low_copies::keep_apart(uint32_t layer, const std::vector<bool> & low) {
    std::vector<bool> others(low);
    others.flip();
    full.keep_out(layer, low);
    tier.keep_out(layer, others);
}

}  // namespace moebius
