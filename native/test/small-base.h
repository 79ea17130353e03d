// Small models of random weights in every architecture that can be trained, as files that llama.cpp loads.
#pragma once

#include <ggml.h>

#include <string>
#include <vector>

namespace moebius_test {

// Of deepseek2.
struct small_latent {
    bool    is_halved = false;  // attn_k_b and attn_v_b, not attn_kv_b
    int64_t q = 0, kv = 0;      // numbers that queries, and that keys and values are made from; q 0: from the state itself
    int64_t head = 24, head_v = 16, turned = 8;
};

struct small_base {
    std::string name, architecture;
    bool        has_shared   = false;  // an expert for all tokens; weighed by a sigmoid in qwen2moe
    bool        is_fused     = false;  // gate and up in one stack
    bool        is_tied      = false;  // the head is the embedding
    bool        has_factors  = false;  // of rope
    ggml_type   type         = GGML_TYPE_F32;  // of matrices
    bool        is_dequantised = false;        // they are in F32, what `type` makes of them
    small_latent latent;
    bool        has_sigmoids   = false;        // a router of them, with a bias for the choice, weights that add up to 2.5, and experts in groups
    bool        has_yarn       = false;
    bool        has_long_rope  = false;        // factors of positions: some for sequences of up to 16 tokens, others beyond
    int64_t     n_embd = 64, heads = 4, kv_heads = 2, head = 16, n_ff = 32, layers = 2;
    int64_t     experts = 6, used = 2;  // 0: a dense FFN
    int64_t     dense_layers = 0;       // the first ones have no experts
};

const std::vector<small_base> & small_bases();

// Of every architecture whose models may be without experts.
const std::vector<small_base> & dense_bases();

// Writes it, with the tokenizer of the tiny model; remove it. The same weights each time and everywhere, but for what the type makes of them.
std::string write_small_base(const small_base & of);

}  // namespace moebius_test
