#include "device-tier.h"

#include <algorithm>
#include <numeric>

namespace moebius {

device_room device_room_for(const expert_layout & layout, const std::vector<uint64_t> & bytes) {
    device_room room{ bytes, {} };
    for (const uint64_t each : bytes) {
        room.slots.push_back(device_slots_for(layout, each));
    }
    return room;
}

device_tier::device_tier(expert_storage & from, const expert_layout & of, const std::vector<device_budget> & budgets, const device_tier_settings & how, const device_tier * beside)
    : source(from), held(of), settings(how), speeds(budgets.size(), 1.0), links(budgets.size(), 1.0), counted(budgets.size()), given_up(budgets.size(), false) {
    if (budgets.empty() || budgets.size() > devices_most) {
        throw user_error("request.invalid", "Experts can be on 1 to " + std::to_string(devices_most) + " GPUs, not on " + std::to_string(budgets.size()) + ".",
                         { { "parameter", "expertDeviceBytes" } });
    }
    for (const device_budget & budget : budgets) {
        devices.push_back(std::make_unique<device_slots>(budget.device, held, device_slots_for(held, budget.bytes), beside ? beside->devices[devices.size()].get() : nullptr));
        given.push_back(budget.bytes);
    }
    for (uint32_t i = 0; i < held.layers.size(); i++) {
        std::vector<uint32_t> slots;
        for (const auto & device : devices) {
            slots.push_back(device->count(i));
        }
        layers.push_back({ layer_copies(held.experts, slots) });
        controllers.emplace_back(held.experts, rig_of(i), settings.replicas);
        layers[i].copies.want(controllers[i].placement());
    }
}

device_tier::~device_tier() {
    {
        const std::lock_guard<std::mutex> lock(mutex);
        closing = true;
        changed.notify_all();
    }
    if (mover.joinable()) {
        mover.join();
    }
}

layer_rig device_tier::rig_of(uint32_t layer) const {
    layer_rig rig{ speeds, {}, links };
    for (uint32_t d = 0; d < devices.size(); d++) {
        rig.slots.push_back(given_up[d] ? 0 : layers[layer].copies.counts()[d]);
    }
    return rig;
}

bool device_tier::fill(const std::function<bool(uint64_t, uint64_t)> & go_on) {
    std::unique_lock<std::mutex> lock(mutex);
    uint64_t                     total = 0, done = 0;
    for (const auto & device : devices) {
        total += device->bytes();
    }
    while (const auto task = next_copy()) {
        copy(lock, *task);
        if (!last_error.empty()) {
            throw user_error("file.unreadable", "The experts could not be read: " + last_error + ".");
        }
        for (const expert_part & part : held.layers[task->layer].parts) {
            done += part.bytes;
        }
        if (!go_on(std::min(done, total), total)) {
            return false;
        }
    }
    counted.assign(counted.size(), {});
    return true;
}

void device_tier::start() {
    mover = std::thread([this] { run(); });
}

device_placement device_tier::begin(uint32_t layer, const std::vector<uint32_t> & tokens, const token_routes & routes) {
    const std::lock_guard<std::mutex> lock(mutex);
    layer_state &                     state = layers[layer];
    state.begun++;
    if (settings.adapts) {
        controllers[layer].observe(tokens, routes);
        state.since_decision += std::accumulate(tokens.begin(), tokens.end(), 0u) / std::max(held.used, 1u);
        if (state.since_decision >= settings.window) {
            state.since_decision = 0;
            state.due            = true;
            changed.notify_all();
        }
    }
    return { state.copies.there(), state.copies.slots() };
}

void device_tier::end(uint32_t layer, const std::vector<uint32_t> & tokens) {
    const std::lock_guard<std::mutex> lock(mutex);
    layers[layer].ended++;
    for (size_t d = 0; d < counted.size(); d++) {
        counted[d].tokens += tokens[d];
    }
    batch_ended.notify_all();
}

void device_tier::set_speeds(const std::vector<double> & next, const std::vector<double> & next_links) {
    const std::lock_guard<std::mutex> lock(mutex);
    speeds = next;
    links  = next_links;
    for (uint32_t i = 0; i < layers.size(); i++) {
        layers[i].copies.want(controllers[i].change(rig_of(i)));
        layers[i].changes++;
    }
}

void device_tier::keep_out(uint32_t layer, const std::vector<bool> & experts) {
    const std::lock_guard<std::mutex> lock(mutex);
    layers[layer].copies.want(controllers[layer].keep_out(experts));
    layers[layer].due = layers[layer].settling = true;
    layers[layer].changes++;
    changed.notify_all();
}

void device_tier::set_adapts(bool adapts) {
    const std::lock_guard<std::mutex> lock(mutex);
    settings.adapts = adapts;
}

bool device_tier::adapts() const {
    const std::lock_guard<std::mutex> lock(mutex);
    return settings.adapts;
}

void device_tier::give_up(uint32_t device) {
    const std::lock_guard<std::mutex> lock(mutex);
    given_up[device] = true;
    for (uint32_t i = 0; i < layers.size(); i++) {
        layers[i].copies.empty(device, 0);
        layers[i].copies.want(controllers[i].change(rig_of(i)));
        layers[i].due = true;
        layers[i].changes++;
    }
    changed.notify_all();
}

std::vector<bool> device_tier::lost() const {
    const std::lock_guard<std::mutex> lock(mutex);
    return given_up;
}

// --- what can be changed

void device_tier::resize(device_room room) {
    const std::lock_guard<std::mutex> one(resizing);
    std::unique_lock<std::mutex>      lock(mutex);
    resize_to = std::move(room);
    changed.notify_all();
    changed.wait(lock, [&] { return closing || !resize_to; });
    if (resize_failure) {
        std::rethrow_exception(std::exchange(resize_failure, nullptr));
    }
}

// --- what it is like

std::vector<uint64_t> device_tier::budgets() const {
    const std::lock_guard<std::mutex> lock(mutex);
    return given;
}

device_room device_tier::room() const {
    const std::lock_guard<std::mutex> lock(mutex);
    device_room                       room{ given, {} };
    for (uint32_t d = 0; d < devices.size(); d++) {
        room.slots.emplace_back();
        for (const layer_state & state : layers) {
            room.slots[d].push_back(state.copies.size(d));
        }
    }
    return room;
}

std::vector<double> device_tier::device_speeds() const {
    const std::lock_guard<std::mutex> lock(mutex);
    return speeds;
}

std::vector<double> device_tier::device_links() const {
    const std::lock_guard<std::mutex> lock(mutex);
    return links;
}

uint32_t device_tier::slots(uint32_t layer, uint32_t device) const {
    const std::lock_guard<std::mutex> lock(mutex);
    return layers[layer].copies.size(device);
}

std::vector<device_counters> device_tier::counters() const {
    const std::lock_guard<std::mutex> lock(mutex);
    return counted;
}

layer_placement device_tier::copies(uint32_t layer) const {
    const std::lock_guard<std::mutex> lock(mutex);
    return layers[layer].copies.there();
}

std::vector<std::vector<device_set>> device_tier::placement() const {
    const std::lock_guard<std::mutex>    lock(mutex);
    std::vector<std::vector<device_set>> ready;
    for (const layer_state & state : layers) {
        ready.push_back(state.copies.there());
    }
    return ready;
}

uint32_t device_tier::moving() const {
    const std::lock_guard<std::mutex> lock(mutex);
    uint32_t                          count = 0;
    for (const layer_state & state : layers) {
        count += state.copies.missing();
    }
    return count;
}

std::string device_tier::error() const {
    const std::lock_guard<std::mutex> lock(mutex);
    return last_error;
}

}  // namespace moebius
