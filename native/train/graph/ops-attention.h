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

// The tokens of one sequence, next to each other.
struct attention_span {
    int64_t       tokens = 0;
    ggml_tensor * mask   = nullptr;  // F32 [tokens seen, tokens], causal_mask; not read on the CPU; sequences of one length may share one
};

// softmax(scale * q k) v over what is not behind a token in its sequence, with grouped heads (arXiv 2305.13245): heads [g * i, g * (i + 1)) of q see head i of k and v,
// g = heads / kv heads. q: [d, heads, tokens], k: [d, kv heads, tokens], v: [dv, kv heads, tokens], contiguous -> [dv, heads, tokens].
train_value train_attention(train_tape & tape, const train_value & q, const train_value & k, const train_value & v, const std::vector<attention_span> & spans, float scale);

// 0 for what a token sees, itself and what is before it, else -infinity. [tokens][tokens seen]
std::vector<float> causal_mask(int64_t tokens);

}  // namespace moebius
