// What a base model computes, from its metadata: the architectures that can be trained, and what distinguishes them.
#pragma once

#include "model/gguf-file.h"
#include "train/graph/ops-attention.h"

namespace moebius {

// Root-mean-square norms of queries and keys before they are turned: of each head, or of all numbers of a token.
enum class query_norm { none, heads, all };

struct base_shape {
    std::string   architecture;
    int64_t       n_embd = 0, layers = 0, vocabulary = 0;
    int64_t       heads = 0, kv_heads = 0;
    int64_t       head_k = 0, head_v = 0;  // numbers of a head of q and k, and of v
    int64_t       experts = 0, experts_used = 0;  // 0: all layers are dense
    float         norm_epsilon = 0;
    rope_settings rope;                    // without factors
    query_norm    norm_of_queries    = query_norm::none;
    float         attention_scale    = 0;
    bool          has_shared_expert  = false;  // it may have one
    bool          normalises_weights = false;  // a token's experts' weights add up to 1
    float         weights_scale      = 1;
    float         embedding_scale = 1, residual_scale = 1, logit_scale = 1;  // factors
};

// Throws user_error model.unsupported, which names what is missing.
base_shape base_shape_of(const gguf_model & file);

}  // namespace moebius
