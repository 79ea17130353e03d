// What a base model computes, from its metadata: the architectures that can be trained, and what distinguishes them.
#pragma once

#include "model/gguf-file.h"
#include "train/graph/ops-attention.h"

namespace moebius {

// Root-mean-square norms of queries and keys before they are turned: of each head, or of all numbers of a token.
enum class query_norm { none, heads, all };

// What a router makes of its logits.
enum class scoring { softmax, sigmoid };

struct base_shape {
    std::string   architecture;
    int64_t       n_embd = 0, layers = 0, vocabulary = 0;
    int64_t       heads = 0, kv_heads = 0;
    int64_t       head_k = 0, head_v = 0;  // numbers of a head of q and k, and of v
    int64_t       latent = 0;                     // numbers of a token that its keys and values are made from (DeepSeek-V2, arXiv 2405.04434); 0: from its state itself
    int64_t       experts = 0, experts_used = 0;  // 0: all layers are dense
    int64_t       expert_groups = 1, expert_groups_used = 1;  // experts are chosen within the best groups
    int64_t       dense_layers = 0;               // the first ones, of a model with experts
    scoring       scores = scoring::softmax;
    float         norm_epsilon = 0;
    rope_settings rope;                    // without factors
    bool          has_rope_factors = false;  // it may have some
    bool          is_long_rope     = false;  // LongRoPE (arXiv 2402.13753): others beyond the original context
    query_norm    norm_of_queries    = query_norm::none;
    float         attention_scale    = 0;
    bool          has_shared_expert  = false;  // it may have one
    bool          has_choice_bias    = false;  // the same of each expert's bias for the choice (DeepSeek-V3, arXiv 2412.19437, eq. 16)
    bool          normalises_weights = false;  // a token's experts' weights add up to 1
    float         weights_scale      = 1;
    float         embedding_scale = 1, residual_scale = 1, logit_scale = 1;  // factors
};

// Without those that predict tokens farther on (nextn_predict_layers), which are left as they are.
int64_t trained_layers(const gguf_model & file);

// Throws user_error model.unsupported, which names what is missing.
base_shape base_shape_of(const gguf_model & file);

}  // namespace moebius
