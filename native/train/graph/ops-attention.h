// Attention over packed sequences, without a KV cache.
#pragma once

#include "tape.h"

namespace moebius {

// Rotary positions as llama.cpp applies them (ggml_rope_ext; arXiv 2104.09864, YaRN 2309.00071).
struct rope_settings {
    int           dimensions     = 0;                    // numbers of each head that are turned
    int           offset         = 0;                    // numbers before them, even
    int           mode           = GGML_ROPE_TYPE_NORMAL;  // or GGML_ROPE_TYPE_NEOX
    int           context_length = 0;                    // of training, for YaRN
    float         base           = 10000;
    float         scale          = 1;
    float         extension      = 0;  // ext_factor
    float         attention      = 1;  // attn_factor
    float         beta_fast      = 32;
    float         beta_slow      = 1;
    ggml_tensor * factors        = nullptr;  // F32 [dimensions / 2], null: none
};

// x: [d, heads, tokens], contiguous; positions: I32 [tokens], each in its sequence
train_value train_rope(train_tape & tape, const train_value & x, ggml_tensor * positions, const rope_settings & settings);

// Tokens next to each other that may see each other, as their mask says.
struct attention_span {
    int64_t       tokens = 0;
    ggml_tensor * mask   = nullptr;  // F32 [tokens seen, tokens]: 0 or -infinity; spans of one length may share one
};

// softmax(scale * q k + mask) v with grouped heads (arXiv 2305.13245): heads [g * i, g * (i + 1)) of q see head i of k and v, g = heads / kv heads.
// q: [d, heads, tokens], k: [d, kv heads, tokens], v: [dv, kv heads, tokens], contiguous -> [dv, heads, tokens].
// One span for each sequence costs the sum of their squared lengths; one span for all, with a block-diagonal mask, the square of the sum.
train_value train_attention(train_tape & tape, const train_value & q, const train_value & k, const train_value & v, const std::vector<attention_span> & spans, float scale);

// A mask [tokens, tokens] for sequences of these lengths, packed: each sees itself and what is before it of its own sequence.
std::vector<float> causal_mask(const std::vector<int64_t> & lengths);

}  // namespace moebius
