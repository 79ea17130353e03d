// How many slots for experts some RAM buys: for each layer, or in a ring. Pure.
#pragma once

#include "expert-layout.h"

namespace moebius {

// Bytes of RAM that one expert of a layer takes.
uint64_t expert_slot_bytes(const expert_layer & layer);

// --- slots of each layer, see expert_store

// Slots that `ram_bytes` buy for each layer: the same number everywhere, the rest to the first layers. Throws model.does-not-fit
// below two a layer: one that computes and one that is read.
std::vector<uint32_t> expert_slots_for(const expert_layout & layout, uint64_t ram_bytes);

// As many slots as that, more of them for shallow layers (slots_shallow), brought within `ram_bytes`.
std::vector<uint32_t> expert_slots_shallow(const expert_layout & layout, uint64_t ram_bytes);

// `wanted` [layers], brought within `ram_bytes` as slots_within does, with at least two for each layer.
std::vector<uint32_t> expert_slots_within(const expert_layout & layout, const std::vector<uint32_t> & wanted, uint64_t ram_bytes);

// The least that expert_slots_for takes.
uint64_t expert_slots_least_bytes(const expert_layout & layout);

// RAM with which every expert has a slot.
uint64_t expert_slots_most_bytes(const expert_layout & layout);

// --- slots of a ring, each of the largest expert's size; see expert_ring

uint64_t expert_ring_slot_bytes(const expert_layout & layout);

// Slots that `ram_bytes` buy, at most one for each expert of the model. Throws model.does-not-fit.
uint32_t expert_ring_slots_for(const expert_layout & layout, uint64_t ram_bytes);

// The least that expert_ring_slots_for takes: two experts in work, one that is read.
uint64_t expert_ring_least_bytes(const expert_layout & layout);

uint64_t expert_ring_most_bytes(const expert_layout & layout);

}  // namespace moebius
