// The storage of experts that load options ask for.
#pragma once

#include "experts/backend/loaded-experts.h"
#include "experts/backend/whole-experts.h"
#include "memory.h"
#include "options.h"

namespace moebius {

// Whether the model's layout file is to be used: fills in options.layout_fingerprint if there is one of this very model. One that is damaged or of
// another model is logged and left alone.
void find_layout(const gguf_model & file, const json & inspection, load_options & options);

// Of experts in a store, with these options; empty if it cannot take them.
expert_layout expert_layout_for(const gguf_model & file, const json & inspection, const load_options & options);

// Slots of each layer that a store with these options begins with: options.expert_ram_bytes shared out as options.slot_allocation says; an even
// share of a ring. Throws model.does-not-fit.
std::vector<uint32_t> slots_at_load(const expert_layout & layout, const load_options & options);

// The least RAM that the storage which these options ask for takes.
uint64_t experts_least_bytes(const expert_layout & layout, const load_options & options);

// Slots of each layer, or a ring if the options ask for one or leave too little RAM for those. Null when options.expert_ram_bytes is 0 or open.
// Throws request.invalid if the model's experts cannot be stored so, file.unreadable, model.does-not-fit.
std::unique_ptr<loaded_experts> make_experts(const gguf_model & file, const json & inspection, const load_options & options);

// Lets devices compute experts of a store, as the options ask: the GPUs named there with their budgets, and those that the model uses otherwise with
// none until a resize gives them one. Without any nothing changes. Throws model.does-not-fit, request.invalid.
void use_expert_devices(loaded_experts & experts, const load_options & options);

// Once they have begun: what the options want in low precision there. Throws request.invalid, model.does-not-fit.
void use_replica_precision(loaded_experts & experts, const load_options & options);

// Of a name of low_precision_names().
low_precision_choice to_low_precision(const replica_precision & choice);

// Adds what that takes to the devices' memory.
void add_expert_devices(std::vector<device_split> & devices, const expert_layout & layout, const load_options & options);

// For an open model without a store.
std::unique_ptr<whole_experts> make_whole_experts(const llama_model * model, const gguf_model & file, const json & inspection, const load_options & options);

}  // namespace moebius
