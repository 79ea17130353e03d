// Numbers of heads taken apart and put together, and a matrix for each head: what latent attention takes (DeepSeek-V2, arXiv 2405.04434).
// All F32; operands and results are contiguous.
#pragma once

#include "tape.h"

namespace moebius {

// Some numbers of each row: x: [n, a, b] -> [count, a, b]
train_value train_numbers(train_tape & tape, const train_value & x, int64_t begin, int64_t count);

// Of each head its own numbers, then those that all heads share: own: [n, heads, tokens], shared: [m, 1, tokens] -> [n + m, heads, tokens]
train_value train_with_shared(train_tape & tape, const train_value & own, const train_value & shared);

// Each matrix: x: [a, b, heads] -> [b, a, heads]
train_value train_transposed(train_tape & tape, const train_value & x);

// W_h^T x_h of each head: weight: [n_in, n_out, heads]; x: [n_in, heads, tokens] -> [n_out, heads, tokens]
train_value train_linear_of_heads(train_tape & tape, const train_value & weight, const train_value & x);

}  // namespace moebius
