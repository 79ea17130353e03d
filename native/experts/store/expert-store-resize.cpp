// The part of expert_store that changes how many slots the layers have.
#include "expert-store.h"

#include <algorithm>
#include <cstring>

namespace moebius {

void expert_store::resize_layer(uint32_t layer, uint32_t slots) {
    const std::lock_guard<std::mutex> between_batches(session);
    std::unique_lock<std::mutex>      lock(mutex);
    const auto                        is_reading = [&] {
        const auto first = entries.begin() + ptrdiff_t(size_t(layer) * all.experts);
        return std::any_of(first, first + all.experts, [](const entry & state) { return state.reading; });
    };
    arrived.wait(lock, [&] { return !is_reading() && copying == 0; });
    const uint64_t bytes = expert_slot_bytes(all.layers[layer]);
    if (slots > cache.shape().slots[layer]) {
        memory[layer].resize(slots * bytes);
    }
    for (const slot_move & move : cache.resize(layer, slots)) {
        std::memcpy(memory[layer].data() + move.to * bytes, memory[layer].data() + move.from * bytes, bytes);
    }
    memory[layer].resize(slots * bytes);
    resident = false;
}

void expert_store::resize(uint64_t ram_bytes) {
    set_slots(expert_slots_for(all, ram_bytes), ram_bytes);
}

void expert_store::share_out(const std::vector<uint32_t> & wanted) {
    const uint64_t ram_bytes = settings().ram_bytes;
    set_slots(expert_slots_within(all, wanted, ram_bytes), ram_bytes);
}

void expert_store::set_slots(const std::vector<uint32_t> & slots, uint64_t ram_bytes) {
    const std::vector<uint32_t> before = shape().slots;
    for (const bool grows : { false, true }) {
        for (uint32_t layer = 0; layer < slots.size(); layer++) {
            if (grows == (slots[layer] > before[layer])) {
                resize_layer(layer, slots[layer]);
            }
        }
    }
    const std::lock_guard<std::mutex> lock(mutex);
    current.ram_bytes = ram_bytes;
    fill_free_slots();
}

// Under `mutex`: a few reads at a time, the most valued experts of each layer first, so that what a batch wants need not wait long.
void expert_store::fill_free_slots() {
    constexpr uint32_t at_a_time = 4;
    for (uint32_t layer = 0; layer < all.layers.size() && filling < at_a_time && !closing; layer++) {
        const std::vector<uint32_t> wanted = cache.wanted(layer);
        for (size_t i = 0; i < wanted.size() && filling < at_a_time; i++) {
            const int32_t slot = cache.take({ layer, wanted[i] });
            read_early(layer, wanted[i], uint32_t(slot));  // there is a free one
            entry_of(layer, wanted[i]).filling = true;
            filling++;
        }
    }
}

}  // namespace moebius
