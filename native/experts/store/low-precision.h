// Experts once more in fewer bits, for the modes that trade accuracy for bytes (HOBBIT, Replicate-and-Quantize).
#pragma once

#include "expert-layout.h"

namespace moebius {

// Names that low_precision_layout takes: "q4_0", "q3_k", "q2_k".
std::vector<std::string> low_precision_names();

// The same experts with matrices in `type`: parts have its type and bytes. A matrix whose rows are no multiple of the type's block gets q4_0, and one that has
// no more bits than that already, or no such rows either, keeps what it has. `file` and `offset` still say where the originals are.
expert_layout low_precision_layout(const expert_layout & full, ggml_type type);

// Type of a name; GGML_TYPE_COUNT: it is none of low_precision_names().
ggml_type low_precision_type(const std::string & name);

// One matrix of an expert in the type of another part of the same shape: from [full.bytes] to [low.bytes], row by row through floats. Any thread.
void requantise(const expert_part & full, const uint8_t * from, const expert_part & low, uint8_t * into);

}  // namespace moebius
