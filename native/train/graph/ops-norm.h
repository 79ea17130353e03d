// Root-mean-square norm (arXiv 1910.07467).
#pragma once

#include "tape.h"

namespace moebius {

// x / sqrt(mean(x^2) + epsilon) * weight, over ne[0]. x: [n, ...], contiguous; weight: F32 [n], a constant if it is frozen. Of heads: x [n, heads, tokens].
train_value train_rms_norm(train_tape & tape, const train_value & x, const train_value & weight, float epsilon);

}  // namespace moebius
