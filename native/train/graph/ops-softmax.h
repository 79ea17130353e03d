// Softmax and log-sum-exp over ne[0].
#pragma once

#include "tape.h"

namespace moebius {

// softmax(scale * x + mask). x: [n, rows, ...], contiguous; mask: F32 [n, rows] of 0 and -infinity for all ne[2], null for none. A row has at least one 0.
train_value train_softmax(train_tape & tape, const train_value & x, ggml_tensor * mask = nullptr, float scale = 1);

// log(sum(exp(x))) of each row: [n, rows] -> [1, rows]; safe for numbers of any size
train_value train_log_sum_exp(train_tape & tape, const train_value & x);

}  // namespace moebius
