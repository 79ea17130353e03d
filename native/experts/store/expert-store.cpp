#include "expert-store.h"

#include <algorithm>

namespace moebius {

namespace {

expert_cache_shape shape_of(const expert_layout & layout, std::vector<uint32_t> slots) {
    return { uint32_t(layout.layers.size()), layout.experts, std::move(slots) };
}

std::vector<uint32_t> slots_at_start(const expert_layout & layout, const expert_store_settings & settings) {
    return settings.slots.empty() ? expert_slots_for(layout, settings.ram_bytes) : settings.slots;
}

}  // namespace

expert_store::expert_store(expert_layout layout, const expert_store_settings & settings)
    : expert_storage(std::move(layout), settings.readers),
      current(settings),
      entries(all.layers.size() * all.experts),
      cache(shape_of(all, slots_at_start(all, settings)), cache_policy_make(settings.policy, shape_of(all, slots_at_start(all, settings)))),
      ahead_of(uint32_t(all.layers.size()), all.experts),
      supers(all) {
    finder = &supers;
    ahead_of.set_on(settings.prefetch, seconds_now());
    for (size_t i = 0; i < all.layers.size(); i++) {
        const uint64_t bytes = expert_slot_bytes(all.layers[i]);
        memory.emplace_back(all.experts * bytes, cache.shape().slots[i] * bytes);
    }
}

expert_store::~expert_store() {
    {
        const std::lock_guard<std::mutex> lock(mutex);
        closing = true;
    }
    reader.reset();
}

expert_store_settings expert_store::settings() const {
    const std::lock_guard<std::mutex> lock(mutex);
    return current;
}

uint64_t expert_store::slot_bytes() const {
    const std::lock_guard<std::mutex> lock(mutex);
    uint64_t                          sum = 0;
    for (size_t i = 0; i < all.layers.size(); i++) {
        sum += cache.shape().slots[i] * expert_slot_bytes(all.layers[i]);
    }
    return sum;
}

std::vector<std::vector<expert_tier>> expert_store::tiers() const {
    const std::lock_guard<std::mutex>     lock(mutex);
    std::vector<std::vector<expert_tier>> result(all.layers.size(), std::vector<expert_tier>(all.experts, expert_tier::disk));
    for (uint32_t layer = 0; layer < all.layers.size(); layer++) {
        for (uint32_t expert = 0; expert < all.experts; expert++) {
            if (cache.slot_of({ layer, expert }) != slot_cache::none) {
                result[layer][expert] = entries[size_t(layer) * all.experts + expert].reading ? expert_tier::moving : expert_tier::ram;
            }
        }
    }
    return result;
}

expert_cache_shape expert_store::shape() const {
    const std::lock_guard<std::mutex> lock(mutex);
    return cache.shape();
}

void expert_store::restart_counters() {
    expert_storage::restart_counters();
    const std::lock_guard<std::mutex> lock(mutex);
    ahead_of.restart_counters();
}

bool expert_store::fill(const std::function<bool(uint64_t, uint64_t)> & go_on) {
    std::unique_lock<std::mutex> lock(mutex);
    for (uint32_t layer = 0; layer < all.layers.size(); layer++) {
        const std::vector<uint32_t> order = file_order_of(all.layers[layer], all.experts);
        for (uint32_t i = 0; i < cache.shape().slots[layer]; i++) {
            const uint32_t expert = order[i];
            start_read(layer, expert, uint32_t(cache.take({ layer, expert })), file_reader::priority::demand);
        }
    }
    lock.unlock();
    const uint64_t total = slot_bytes();
    lock.lock();
    while (reading > 0) {
        arrived.wait_for(lock, std::chrono::milliseconds(50));
        lock.unlock();
        const bool keep_on = go_on(std::min(reader->bytes_read(), total), total);
        lock.lock();
        if (!keep_on) {
            return false;
        }
    }
    if (!last_error.empty()) {
        throw user_error("file.unreadable", "The experts could not be read: " + last_error + ".");
    }
    return true;
}

void expert_store::begin(uint32_t layer, std::vector<expert_use> & uses) {
    const std::lock_guard<std::mutex> lock(mutex);
    check_resident();
    expert_layer_counters & count = counted.layers[layer];
    cache.used(layer, uses);
    if (supers.look()) {
        protect_super_experts();
    }
    if (resident) {
        count.hits += uses.size();
        return;
    }
    withdraw_overtaken(layer, uses);
    std::vector<found_use> found;
    const auto is_missing = [&](const expert_use & use) { return cache.slot_of({ layer, use.expert }) == slot_cache::none; };
    const auto is_late    = [&](const expert_use & use) { return entry_of(layer, use.expert).reading; };
    const auto missing    = std::stable_partition(uses.begin(), uses.end(), [&](const expert_use & use) { return !is_missing(use); });
    const auto late       = std::stable_partition(uses.begin(), missing, [&](const expert_use & use) { return !is_late(use); });
    if (all.layers[layer].is_packed()) {  // neighbours are read with one request
        std::sort(missing, uses.end(), [&](const expert_use & a, const expert_use & b) { return lies_before(all.layers[layer], a.expert, b.expert); });
    }
    count.hits += uint64_t(late - uses.begin());
    count.late += uint64_t(missing - late);
    count.misses += uint64_t(uses.end() - missing);
    for (auto use = uses.begin(); use != uses.end(); ++use) {
        found.push_back({ use->expert, use < late ? expert_found::here : use < missing ? expert_found::coming : expert_found::missing });
    }
    ahead_of.reached(cache, layer, uses, found, seconds_now());
    std::for_each(late, missing, [&](const expert_use & use) {
        const uint8_t * from = room(layer, uint32_t(cache.slot_of({ layer, use.expert })));
        reader->hurry(from, from + expert_slot_bytes(all.layers[layer]));
        entry & state = entry_of(layer, use.expert);
        if (state.wanted == 0.0) {
            state.wanted = seconds_now();
            ahead_of.wanted(state.wanted);
        }
    });
    std::for_each(uses.begin(), missing, [&](const expert_use & use) { cache.pin({ layer, use.expert }); });
    pending_layer = layer;
    std::for_each(missing, uses.end(), [&](const expert_use & use) { pending.push_back(use.expert); });
    read_pending();
    read_proposed();
}

const uint8_t * expert_store::wait(uint32_t layer, uint32_t expert, uint32_t part) {
    entry &        state = entry_of(layer, expert);
    const uint32_t bit   = 1u << part;
    if (resident) {
        return part_data(layer, expert, part, uint32_t(cache.slot_of({ layer, expert })));
    }
    std::unique_lock<std::mutex> lock(mutex);
    const auto here = [&] { return cache.slot_of({ layer, expert }) != slot_cache::none && (state.parts_here & bit) != 0; };
    if (!here()) {
        state.waiting++;
        ahead_of.stalled(stall_until(lock, layer, here));
        state.waiting--;
    }
    return state.failed ? nullptr : part_data(layer, expert, part, uint32_t(cache.slot_of({ layer, expert })));
}

void expert_store::finish(uint32_t layer, uint32_t expert) {
    if (resident) {
        return;
    }
    const std::lock_guard<std::mutex> lock(mutex);
    entry &                           state = entry_of(layer, expert);
    if (state.reading) {
        state.unpins_due++;  // the rest of the read still writes to the slot
        return;
    }
    cache.unpin({ layer, expert });
    drop_if_failed(layer, expert);
    read_pending();
}

bool expert_store::is_whole(uint32_t layer, uint32_t expert) const {
    const entry & state = entries[size_t(layer) * all.experts + expert];
    return cache.slot_of({ layer, expert }) != slot_cache::none && !state.reading && !state.failed;
}

const uint8_t * expert_store::hold(uint32_t layer, uint32_t expert) {
    cache.pin({ layer, expert });
    copying++;
    return room(layer, uint32_t(cache.slot_of({ layer, expert })));
}

void expert_store::release(uint32_t layer, uint32_t expert) {
    copying--;
    cache.unpin({ layer, expert });
    read_pending();
    arrived.notify_all();
}

// Under `mutex` and `session`.
void expert_store::check_resident() {
    if (resident || reading > 0) {
        return;
    }
    const auto & slots = cache.shape().slots;
    resident           = std::all_of(slots.begin(), slots.end(), [this](uint32_t count) { return count == all.experts; });
    for (uint32_t layer = 0; layer < all.layers.size() && resident; layer++) {
        resident = cache.wanted(layer).empty();
    }
}

void expert_store::set_policy(const std::string & name) {
    const std::lock_guard<std::mutex> lock(mutex);
    cache.set_policy(cache_policy_make(name, cache.shape()));
    current.policy = name;
}

}  // namespace moebius
