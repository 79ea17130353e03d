// Ops on each number by itself. All F32; x and results are contiguous.
#pragma once

#include "tape.h"

namespace moebius {

// y: of x's shape, [n] for every row of x [n, ...], [1, ...] with one number for each row, or one number for all.
train_value train_add(train_tape & tape, const train_value & x, const train_value & y);
train_value train_mul(train_tape & tape, const train_value & x, const train_value & y);

train_value train_scale(train_tape & tape, const train_value & x, float factor);
train_value train_reshape(train_tape & tape, const train_value & x, int64_t n0, int64_t n1 = 1, int64_t n2 = 1);

train_value train_sigmoid(train_tape & tape, const train_value & x);
train_value train_silu(train_tape & tape, const train_value & x);  // x * sigmoid(x)

// weights * silu(gate) * up (SwiGLU, arXiv 2002.05202); both [n, columns]. weights: [1, columns], none: 1.
train_value train_swiglu(train_tape & tape, const train_value & gate, const train_value & up, const train_value & weights = {});

// The same of [2 n, columns], the gate in front, as llama.cpp's ffn_gate_up gives it -> [n, columns]
train_value train_swiglu_fused(train_tape & tape, const train_value & gate_up, const train_value & weights = {});

// Sum of all numbers -> [1]
train_value train_sum(train_tape & tape, const train_value & x);

}  // namespace moebius
