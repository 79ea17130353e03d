// SwiGLU as one node of the CPU's graphs in each direction (kernels/swiglu-rows): what it is of, and what it gives, pass through memory once.
#pragma once

#include "tape.h"

namespace moebius {

// train_swiglu and train_swiglu_fused on the CPU.
train_value swiglu_on_cpu(train_tape & tape, const train_value & gate, const train_value & up, const train_value & weights);
train_value swiglu_on_cpu(train_tape & tape, const train_value & gate_up, const train_value & weights);

}  // namespace moebius
