// Whether training moves what it should, and how far.
#pragma once

#include "adapter.h"

namespace moebius {

// Frobenius norm of lora_scale * a b of each matrix of an adapted tensor (one, or one an adapted expert): how far training has taken it from its base.
// From the lora_rank x lora_rank products of a's rows and of b's, in double precision: |b a|^2 is the sum of (a a^T) * (b^T b), number by number.
// Good to 1e-8 of |a| |b|. Time: (n_in + n_out) lora_rank^2 an expert.
std::vector<double> adapter_norms(const adapter & adapter, const adapted_tensor & tensor);

// A parameter, or one expert's matrix of a stack, of which no number changed.
struct unmoved_part {
    std::string name;
    int64_t     expert       = -1;     // -1: the parameter isn't a stack
    bool        has_gradient = false;  // its gradient isn't all zero
};

// `before`: the values of each parameter before a step; gradients are still those of the step.
std::vector<unmoved_part> unmoved_parts(const std::vector<train_parameter> & parameters, const std::vector<std::vector<float>> & before);

}  // namespace moebius
