#include "device-tier.h"

#include "low-precision.h"

#include <algorithm>
#include <numeric>

namespace moebius {

namespace {

bool is_on(const layer_placement & placement, uint32_t expert, uint32_t device) {
    return (placement[expert] >> device & 1) != 0;
}

}  // namespace

device_room device_room_for(const expert_layout & layout, const std::vector<uint64_t> & bytes) {
    device_room room{ bytes, {} };
    for (const uint64_t each : bytes) {
        room.slots.push_back(device_slots_for(layout, each));
    }
    return room;
}

device_tier::device_tier(expert_storage & from, const expert_layout & of, const std::vector<device_budget> & budgets, const device_tier_settings & how, const device_tier * beside)
    : source(from), held(of), settings(how), speeds(budgets.size(), 1.0), layers(of.layers.size()), counted(budgets.size()), given_up(budgets.size(), false) {
    if (budgets.empty() || budgets.size() > devices_most) {
        throw user_error("request.invalid", "Experts can be on 1 to " + std::to_string(devices_most) + " GPUs, not on " + std::to_string(budgets.size()) + ".",
                         { { "parameter", "expertDeviceBytes" } });
    }
    for (const device_budget & budget : budgets) {
        devices.push_back(std::make_unique<device_slots>(budget.device, held, device_slots_for(held, budget.bytes), beside ? beside->devices[devices.size()].get() : nullptr));
        given.push_back(budget.bytes);
    }
    for (uint32_t i = 0; i < layers.size(); i++) {
        layer_state & state = layers[i];
        controllers.emplace_back(held.experts, rig_of(i), settings.replicas);
        state.ready.assign(held.experts, 0);
        state.wanted = controllers[i].placement();
        for (const auto & device : devices) {
            state.slots.emplace_back(held.experts, free_slot);
            state.residents.emplace_back(device->count(i), free_slot);
        }
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
    layer_rig rig{ speeds, {} };
    for (uint32_t d = 0; d < devices.size(); d++) {
        rig.slots.push_back(given_up[d] ? 0 : devices[d]->count(layer));
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
    return { state.ready, state.slots };
}

void device_tier::end(uint32_t layer, const std::vector<uint32_t> & tokens) {
    const std::lock_guard<std::mutex> lock(mutex);
    layers[layer].ended++;
    for (size_t d = 0; d < counted.size(); d++) {
        counted[d].tokens += tokens[d];
    }
    changed.notify_all();
}

void device_tier::set_speeds(const std::vector<double> & next) {
    const std::lock_guard<std::mutex> lock(mutex);
    speeds = next;
    for (uint32_t i = 0; i < layers.size(); i++) {
        layers[i].wanted = controllers[i].change(rig_of(i));
        layers[i].changes++;
    }
}

void device_tier::keep_out(uint32_t layer, const std::vector<bool> & experts) {
    const std::lock_guard<std::mutex> lock(mutex);
    layers[layer].wanted = controllers[layer].keep_out(experts);
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

// --- the thread

void device_tier::run() {
    std::unique_lock<std::mutex> lock(mutex);
    while (!closing) {
        if (resize_to) {
            resize_all(lock);
        } else if (decide_next(lock)) {
            continue;
        } else if (const auto task = next_copy()) {
            copy(lock, *task);
        } else {
            changed.wait(lock);
        }
    }
}

bool device_tier::decide_next(std::unique_lock<std::mutex> & lock) {
    const auto due = std::find_if(layers.begin(), layers.end(), [](const layer_state & state) { return state.due; });
    if (due == layers.end()) {
        return false;
    }
    const size_t layer = size_t(due - layers.begin());
    due->due           = false;
    // Batches go on meanwhile; those that begin before it is done are not seen by the next decision.
    replica_controller controller = controllers[layer];
    const uint64_t     changes    = due->changes;
    lock.unlock();
    replica_decision decision = controller.decide();
    lock.lock();
    if (due->changes != changes) {
        due->due = true;  // by other rules
        return true;
    }
    controllers[layer] = std::move(controller);
    due->wanted        = std::move(decision.placement);
    due->settling      = due->settling && decision.moved >= settings.replicas.most_copies;
    due->due           = due->due || due->settling;
    return true;
}

bool device_tier::may_take(const layer_state & state, uint32_t device, uint32_t slot) const {
    const uint32_t resident = state.residents[device][slot];
    return resident == free_slot || !is_on(state.wanted, resident, device);
}

std::optional<device_tier::copy_task> device_tier::next_copy() const {
    for (uint32_t layer = 0; layer < layers.size(); layer++) {
        const layer_state & state = layers[layer];
        for (uint32_t expert = 0; expert < state.wanted.size(); expert++) {
            const device_set lacking = state.wanted[expert] & ~state.ready[expert];
            for (uint32_t device = 0; lacking != 0 && device < devices.size(); device++) {
                if (lacking >> device & 1) {
                    return copy_task{ layer, device, expert };
                }
            }
        }
    }
    return std::nullopt;
}

// The expert in the slot leaves; whoever has seen it there may still be computing with it.
void device_tier::withdraw(layer_state & state, uint32_t device, uint32_t slot) {
    uint32_t & resident = state.residents[device][slot];
    if (resident != free_slot) {
        state.ready[resident] &= ~(1u << device);
        state.slots[device][resident] = free_slot;
        resident                      = free_slot;
    }
}

void device_tier::until_unused(std::unique_lock<std::mutex> & lock, const layer_state & state) {
    const uint64_t begun = state.begun;
    changed.wait(lock, [&] { return state.ended >= begun; });
}

void device_tier::copy(std::unique_lock<std::mutex> & lock, const copy_task & task) {
    layer_state & state = layers[task.layer];
    uint32_t      slot  = 0;  // as many are wanted as there are slots at most: there is one
    while (!may_take(state, task.device, slot)) {
        slot++;
    }
    if (state.residents[task.device][slot] != free_slot) {
        withdraw(state, task.device, slot);
        until_unused(lock, state);
    }
    lock.unlock();
    std::string failure;
    try {
        upload(task, slot);
    } catch (const std::exception & error) {
        failure = error.what();
    }
    lock.lock();
    if (given_up[task.device]) {
        return;
    }
    if (!failure.empty()) {
        last_error = failure;
        state.wanted[task.expert] &= ~(1u << task.device);  // the next decision will want it again
        return;
    }
    state.residents[task.device][slot]      = task.expert;
    state.slots[task.device][task.expert]   = slot;
    state.ready[task.expert] |= 1u << task.device;
    counted[task.device].copied++;
    for (const expert_part & part : held.layers[task.layer].parts) {
        counted[task.device].bytes_copied += part.bytes;
    }
    changed.notify_all();
}

void device_tier::upload(const copy_task & task, uint32_t slot) {
    const std::vector<expert_part> & parts = source.layout().layers[task.layer].parts;
    for (uint32_t p = 0; p < parts.size(); p++) {
        staging.resize(parts[p].bytes);
        source.read_part(task.layer, task.expert, p, staging.data());
        const expert_part & low = held.layers[task.layer].parts[p];
        if (low.type != parts[p].type) {
            lowered.resize(low.bytes);
            requantise(parts[p], staging.data(), low, lowered.data());
        }
        devices[task.device]->write(task.layer, slot, p, low.type != parts[p].type ? lowered.data() : staging.data());
    }
}

void device_tier::give_up(uint32_t device) {
    const std::lock_guard<std::mutex> lock(mutex);
    given_up[device] = true;
    for (uint32_t i = 0; i < layers.size(); i++) {
        for (uint32_t slot = 0; slot < layers[i].residents[device].size(); slot++) {
            withdraw(layers[i], device, slot);
        }
        layers[i].wanted = controllers[i].change(rig_of(i));
        layers[i].due    = true;
        layers[i].changes++;
    }
    changed.notify_all();
}

std::vector<bool> device_tier::lost() const {
    const std::lock_guard<std::mutex> lock(mutex);
    return given_up;
}

// --- other budgets

void device_tier::resize(device_room room) {
    std::unique_lock<std::mutex> lock(mutex);
    const auto                   idle = [&] { return closing || !resize_to; };
    changed.wait(lock, idle);  // somebody else's
    resize_to      = std::move(room);
    resize_failure = nullptr;
    changed.notify_all();
    changed.wait(lock, idle);
    if (resize_failure) {
        std::rethrow_exception(std::exchange(resize_failure, nullptr));
    }
}

void device_tier::resize_all(std::unique_lock<std::mutex> & lock) {
    const device_room room = *resize_to;
    try {
        for (uint32_t d = 0; d < devices.size(); d++) {
            if (given_up[d]) {
                continue;
            }
            const std::vector<uint32_t> & counts = room.slots[d];
            for (uint32_t layer = 0; layer < layers.size(); layer++) {
                if (counts[layer] != devices[d]->count(layer)) {
                    resize_layer(lock, layer, d, counts[layer]);
                }
            }
            given[d] = room.bytes[d];
        }
    } catch (...) {
        resize_failure = std::current_exception();
    }
    for (layer_state & state : layers) {
        state.due = state.settling = true;  // there may be free slots now
    }
    resize_to.reset();
    changed.notify_all();
}

void device_tier::resize_layer(std::unique_lock<std::mutex> & lock, uint32_t layer, uint32_t device, uint32_t count) {
    layer_state & state  = layers[layer];
    layer_rig     rig    = rig_of(layer);
    rig.slots[device]    = count;
    state.wanted         = controllers[layer].change(rig);
    state.changes++;
    const auto residents = state.residents[device];
    for (uint32_t slot = 0; slot < residents.size(); slot++) {
        withdraw(state, device, slot);
    }
    until_unused(lock, state);
    // Those that stay keep their order.
    std::vector<slot_move> kept;
    std::vector<uint32_t>  next(count, free_slot);
    for (uint32_t slot = 0; slot < residents.size(); slot++) {
        if (residents[slot] != free_slot && is_on(state.wanted, residents[slot], device)) {
            next[kept.size()] = residents[slot];
            kept.push_back({ slot, uint32_t(kept.size()) });
        }
    }
    std::exception_ptr failure;
    lock.unlock();
    try {
        devices[device]->resize(layer, count, kept);
    } catch (...) {
        failure = std::current_exception();
    }
    lock.lock();
    if (given_up[device]) {
        return;
    }
    state.residents[device] = failure ? residents : next;
    if (failure) {
        state.wanted = controllers[layer].change(rig_of(layer));
    }
    for (uint32_t slot = 0; slot < state.residents[device].size(); slot++) {
        const uint32_t resident = state.residents[device][slot];
        if (resident != free_slot) {
            state.ready[resident] |= 1u << device;
            state.slots[device][resident] = slot;
        }
    }
    if (failure) {
        std::rethrow_exception(failure);
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
            room.slots[d].push_back(uint32_t(state.residents[d].size()));
        }
    }
    return room;
}

std::vector<double> device_tier::device_speeds() const {
    const std::lock_guard<std::mutex> lock(mutex);
    return speeds;
}

uint32_t device_tier::slots(uint32_t layer, uint32_t device) const {
    const std::lock_guard<std::mutex> lock(mutex);
    return uint32_t(layers[layer].residents[device].size());
}

std::vector<device_counters> device_tier::counters() const {
    const std::lock_guard<std::mutex> lock(mutex);
    return counted;
}

layer_placement device_tier::copies(uint32_t layer) const {
    const std::lock_guard<std::mutex> lock(mutex);
    return layers[layer].ready;
}

std::vector<std::vector<device_set>> device_tier::placement() const {
    const std::lock_guard<std::mutex>    lock(mutex);
    std::vector<std::vector<device_set>> ready;
    for (const layer_state & state : layers) {
        ready.push_back(state.ready);
    }
    return ready;
}

uint32_t device_tier::moving() const {
    const std::lock_guard<std::mutex> lock(mutex);
    uint32_t                          count = 0;
    for (const layer_state & state : layers) {
        count += copies_to_move(state.ready, state.wanted);
    }
    return count;
}

std::string device_tier::error() const {
    const std::lock_guard<std::mutex> lock(mutex);
    return last_error;
}

}  // namespace moebius
