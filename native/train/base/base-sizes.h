// Whether a base's tensors have the sizes that its metadata says: ggml stops the process over others.
#pragma once

#include "base-weights.h"
#include "expert-tensors.h"

namespace moebius {

// Throw user_error file.corrupt, which names the tensor, what it has and what it needs.
void check_layer_sizes(const layer_weights & layer, const base_shape & shape);
void check_expert_sizes(const expert_tensors & experts, const base_shape & shape);
void check_outer_sizes(const base_weights & base, const base_shape & shape);

}  // namespace moebius
