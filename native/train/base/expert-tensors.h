// Where a file has the routed experts of a layer.
#pragma once

#include "model/gguf-file.h"

#include <array>

namespace moebius {

// Stacks of all experts [n_in, n_out, experts]. Without `up`, gate is both.
struct expert_tensors {
    const gguf_tensor *gate = nullptr, *up = nullptr, *down = nullptr;

    std::array<const gguf_tensor *, 3> all() const { return { gate, up, down }; }
    uint64_t                           bytes() const;  // of all experts
};

// Nothing of a layer without a router. Throws user_error model.unsupported: a stack is missing, or has another number of experts than the model.
expert_tensors expert_tensors_of(const gguf_model & file, int64_t layer);

// Whether this is such a stack, by its name.
bool is_expert_tensor(const std::string & name);

}  // namespace moebius
