// The store that load options ask for.
#pragma once

#include "experts/backend/loaded-experts.h"
#include "experts/backend/whole-experts.h"
#include "options.h"

namespace moebius {

// Whether the model's layout file is to be used: fills in options.layout_fingerprint if there is one of this very model. One that is damaged or of
// another model is logged and left alone.
void find_layout(const gguf_model & file, const json & inspection, load_options & options);

// Of experts in a store, with these options; empty if it cannot take them.
expert_layout expert_layout_for(const gguf_model & file, const json & inspection, const load_options & options);

// The least RAM for experts (with the layout that these options give) that the storage of these options takes.
uint64_t experts_least_bytes(const expert_layout & layout, const load_options & options);

// A store of slots for each layer, or a ring if options ask for one or there is no RAM for a store. Null when options.expert_ram_bytes is 0 or open. Throws request.invalid if the store cannot take the model's experts,
// file.unreadable, model.does-not-fit.
std::unique_ptr<loaded_experts> make_experts(const gguf_model & file, const json & inspection, const load_options & options);

// For an open model without a store.
std::unique_ptr<whole_experts> make_whole_experts(const llama_model * model, const gguf_model & file, const json & inspection, const load_options & options);

}  // namespace moebius
