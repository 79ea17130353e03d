// The store that load options ask for.
#pragma once

#include "experts/backend/loaded-experts.h"
#include "experts/backend/whole-experts.h"
#include "options.h"

namespace moebius {

// Null when options.expert_ram_bytes is 0 or open. Throws request.invalid if the store cannot take the model's experts,
// file.unreadable, model.does-not-fit.
std::unique_ptr<loaded_experts> make_experts(const gguf_model & file, const json & inspection, const load_options & options);

// For an open model without a store.
std::unique_ptr<whole_experts> make_whole_experts(const llama_model * model, const gguf_model & file, const json & inspection, const load_options & options);

}  // namespace moebius
