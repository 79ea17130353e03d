// Attention as one node of the CPU's graphs in each direction (kernels/attention): sequences, heads and blocks of queries are pieces that all threads share. Other devices
// are given ggml's own nodes.
#pragma once

#include "ops-attention.h"

namespace moebius {

// train_attention on the CPU; masks are not needed.
train_value attention_on_cpu(train_tape & tape, const train_value & q, const train_value & k, const train_value & v, const std::vector<attention_span> & spans, float scale);

}  // namespace moebius
