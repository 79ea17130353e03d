#include "expert-slots.h"

#include "experts/policy/slot-allocation.h"
#include "file-reader.h"
#include "rpc/errors.h"

#include <algorithm>
#include <numeric>

namespace moebius {

namespace {

constexpr uint32_t least_slots      = 2;
constexpr uint32_t ring_least_slots = 3;

uint64_t one_slot_everywhere(const expert_layout & layout) {
    return std::accumulate(layout.layers.begin(), layout.layers.end(), uint64_t(0),
                           [](uint64_t sum, const expert_layer & layer) { return sum + expert_slot_bytes(layer); });
}

slot_limits limits_of(const expert_layout & layout) {
    return { uint32_t(layout.layers.size()), layout.experts, std::min(least_slots, layout.experts) };
}

uint64_t expert_count_of(const expert_layout & layout) {
    return layout.layers.size() * uint64_t(layout.experts);
}

}  // namespace

uint64_t expert_slot_bytes(const expert_layer & layer) {
    if (layer.is_packed()) {
        return layer.packed.stride;
    }
    return std::accumulate(layer.parts.begin(), layer.parts.end(), uint64_t(0),
                           [](uint64_t sum, const expert_part & part) { return sum + file_reader::room_for(part.bytes); });
}

uint64_t expert_slots_least_bytes(const expert_layout & layout) {
    return std::min(least_slots, layout.experts) * one_slot_everywhere(layout);
}

uint64_t expert_slots_most_bytes(const expert_layout & layout) {
    return layout.experts * one_slot_everywhere(layout);
}

std::vector<uint32_t> expert_slots_for(const expert_layout & layout, uint64_t ram_bytes) {
    const uint64_t everywhere = one_slot_everywhere(layout);
    const uint64_t least      = expert_slots_least_bytes(layout);
    if (ram_bytes < least) {
        throw user_error("model.does-not-fit",
                         "The expert cache of " + std::to_string(ram_bytes) + " bytes is too small: two experts of each of the " +
                             std::to_string(layout.layers.size()) + " layers take " + std::to_string(least) +
                             " bytes. Give it at least that (expertRamBytes).",
                         { { "need", least }, { "have", ram_bytes } });
    }
    const uint32_t        each = uint32_t(std::min<uint64_t>(ram_bytes / everywhere, layout.experts));
    std::vector<uint32_t> slots(layout.layers.size(), each);
    uint64_t              left = ram_bytes - each * everywhere;
    for (size_t i = 0; i < slots.size() && each < layout.experts; i++) {
        const uint64_t bytes = expert_slot_bytes(layout.layers[i]);
        if (bytes <= left) {
            slots[i]++;
            left -= bytes;
        }
    }
    return slots;
}

std::vector<uint32_t> expert_slots_within(const expert_layout & layout, const std::vector<uint32_t> & wanted, uint64_t ram_bytes) {
    std::vector<uint64_t> bytes;
    for (const expert_layer & layer : layout.layers) {
        bytes.push_back(expert_slot_bytes(layer));
    }
    return slots_within(limits_of(layout), wanted, bytes, ram_bytes);
}

std::vector<uint32_t> expert_slots_shallow(const expert_layout & layout, uint64_t ram_bytes) {
    const std::vector<uint32_t> even = expert_slots_for(layout, ram_bytes);
    return expert_slots_within(layout, slots_shallow(limits_of(layout), std::accumulate(even.begin(), even.end(), uint64_t(0))), ram_bytes);
}

uint64_t expert_ring_slot_bytes(const expert_layout & layout) {
    uint64_t most = 0;
    for (const expert_layer & layer : layout.layers) {
        most = std::max(most, expert_slot_bytes(layer));
    }
    return file_reader::aligned(most);
}

uint64_t expert_ring_least_bytes(const expert_layout & layout) {
    return std::min<uint64_t>(ring_least_slots, expert_count_of(layout)) * expert_ring_slot_bytes(layout);
}

uint32_t expert_ring_slots_for(const expert_layout & layout, uint64_t ram_bytes) {
    const uint64_t least = expert_ring_least_bytes(layout);
    if (ram_bytes < least) {
        throw user_error("model.does-not-fit",
                         "The expert cache of " + std::to_string(ram_bytes) + " bytes is too small: even a ring of " + std::to_string(ring_least_slots) +
                             " experts takes " + std::to_string(least) + " bytes. Give it at least that (expertRamBytes).",
                         { { "need", least }, { "have", ram_bytes } });
    }
    return uint32_t(std::min(ram_bytes / expert_ring_slot_bytes(layout), expert_count_of(layout)));
}

uint64_t expert_ring_most_bytes(const expert_layout & layout) {
    return expert_count_of(layout) * expert_ring_slot_bytes(layout);
}

}  // namespace moebius
