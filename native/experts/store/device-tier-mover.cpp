// The part of device_tier that runs on a thread of its own: it decides, copies, and changes how many slots there are. `fill` borrows it.
#include "device-tier.h"
#include "low-precision.h"

#include <algorithm>

namespace moebius {

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
    due->copies.want(std::move(decision.placement));
    due->settling      = due->settling && decision.moved >= settings.replicas.most_copies;
    due->due           = due->due || due->settling;
    return true;
}

std::optional<device_tier::copy_task> device_tier::next_copy() const {
    for (uint32_t layer = 0; layer < layers.size(); layer++) {
        if (const auto which = layers[layer].copies.lacking(controllers[layer].loads())) {
            return copy_task{ layer, *which };
        }
    }
    return std::nullopt;
}

// Those that have seen copies which are withdrawn may still be computing with them.
void device_tier::until_unused(std::unique_lock<std::mutex> & lock, const layer_state & state) {
    const uint64_t begun = state.begun;
    batch_ended.wait(lock, [&] { return state.ended >= begun; });
}

void device_tier::copy(std::unique_lock<std::mutex> & lock, const copy_task & task) {
    layer_state &  state  = layers[task.layer];
    const uint32_t device = task.which.device, slot = state.copies.slot_for(device, controllers[task.layer].loads());
    if (state.copies.withdraw(device, slot)) {
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
    if (given_up[device]) {
        return;
    }
    if (!failure.empty()) {
        last_error = failure;
        state.copies.want_no_more(task.which);  // the next decision will want it again
        return;
    }
    state.copies.put(task.which, slot);
    counted[device].copied++;
    for (const expert_part & part : held.layers[task.layer].parts) {
        counted[device].bytes_copied += part.bytes;
    }
    changed.notify_all();
}

void device_tier::upload(const copy_task & task, uint32_t slot) {
    const std::vector<expert_part> & parts = source.layout().layers[task.layer].parts;
    for (uint32_t p = 0; p < parts.size(); p++) {
        staging.resize(parts[p].bytes);
        source.read_part(task.layer, task.which.expert, p, staging.data());
        const expert_part & low = held.layers[task.layer].parts[p];
        if (low.type != parts[p].type) {
            lowered.resize(low.bytes);
            requantise(parts[p], staging.data(), low, lowered.data());
        }
        devices[task.which.device]->write(task.layer, slot, p, low.type != parts[p].type ? lowered.data() : staging.data());
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
    const auto    before = state.copies.empty(device, count);
    state.copies.want(controllers[layer].change(rig_of(layer)));
    state.changes++;
    until_unused(lock, state);
    const std::vector<slot_move> kept = state.copies.kept(device, before);
    std::exception_ptr           failure;
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
    if (!failure) {
        state.copies.refill(device, layer_copies::moved(before, kept, count));
        return;
    }
    state.copies.refill(device, before);
    state.copies.want(controllers[layer].change(rig_of(layer)));
    std::rethrow_exception(failure);
}

}  // namespace moebius
