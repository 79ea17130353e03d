// Causal attention of one sequence on the CPU, forward and backward, a head and a block of queries at a time: no more scores than a block's are ever in memory
// (arXiv 2205.14135), and keys that none of its queries sees are left out.
#pragma once

#include "product.h"

namespace moebius {

// Tokens of a sequence lie one behind the other, of each all heads: [tokens][heads][d].
struct attention_shape {
    int64_t tokens = 0;
    int64_t heads = 0, kv_heads = 0;  // heads [g * i, g * (i + 1)) see head i of keys and values, g = heads / kv_heads
    int64_t d = 0, dv = 0;
    float   scale = 1;
};

// From the sequence's first token on.
struct attention_operands {
    const float *q = nullptr, *k = nullptr, *v = nullptr;
};

// Those of keys and values are shares of one head of the queries each: [tokens][heads][d], [tokens][heads][dv].
struct attention_gradients {
    float *q = nullptr, *k = nullptr, *v = nullptr;
};

constexpr int64_t attention_block = 64;  // queries

// softmax(scale * q k) v of queries [begin, begin + attention_block) of one head. out: [tokens][heads][dv]
void compute_attention(const tile_kernels & kernels, const attention_shape & shape, const attention_operands & operands, int64_t head, int64_t begin, float * out);

// What one head has of all gradients, given that of `out`. Scores are computed again.
void compute_attention_back(const tile_kernels & kernels, const attention_shape & shape, const attention_operands & operands, const float * gradient, int64_t head, const attention_gradients & result);

}  // namespace moebius
