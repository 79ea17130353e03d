// Small models of random weights in every architecture that can be trained, as files that llama.cpp loads.
#pragma once

#include <ggml.h>

#include <string>
#include <vector>

namespace moebius_test {

struct small_base {
    std::string architecture;
    bool        has_shared   = false;  // an expert for all tokens; weighed by a sigmoid in qwen2moe
    bool        is_fused     = false;  // gate and up in one stack
    bool        is_tied      = false;  // the head is the embedding
    bool        has_factors  = false;  // of rope
    ggml_type   type         = GGML_TYPE_F32;  // of matrices
    bool        is_dequantised = false;        // they are in F32, what `type` makes of them
    int64_t     n_embd = 64, heads = 4, kv_heads = 2, head = 16, n_ff = 32, layers = 2;
    int64_t     experts = 6, used = 2;  // 0: a dense FFN
};

const std::vector<small_base> & small_bases();

// Of every architecture whose models may be without experts.
const std::vector<small_base> & dense_bases();

// Writes it, with the tokenizer of the tiny model; remove it. The same weights each time and everywhere, but for what the type makes of them.
std::string write_small_base(const small_base & of);

}  // namespace moebius_test
