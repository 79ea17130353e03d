#include "base-shape.h"

#include "base-metadata.h"
#include "base-rope.h"

#include <algorithm>
#include <cmath>

namespace moebius {

namespace {

enum class ffn_kind { dense, experts, either };

struct architecture {
    const char * name;
    ffn_kind     ffn;
    int          rope;
    query_norm   norm_of_queries;
    bool         normalises_weights;
    bool         has_shared_expert;
    bool         has_scales;  // granite.*_scale
    bool         has_rope_factors;
};

// As llama.cpp's graphs of these names (src/models): routers with softmax, dense FFNs, experts and shared experts with SwiGLU. Of deepseek2 the file says more.
constexpr architecture known[] = {
    { "qwen3moe", ffn_kind::experts, GGML_ROPE_TYPE_NEOX, query_norm::heads, true, false, false, false },
    { "qwen2moe", ffn_kind::experts, GGML_ROPE_TYPE_NEOX, query_norm::none, false, true, false, false },
    { "olmoe", ffn_kind::experts, GGML_ROPE_TYPE_NEOX, query_norm::all, false, false, false, false },
    { "llama", ffn_kind::either, GGML_ROPE_TYPE_NORMAL, query_norm::none, true, false, false, true },
    { "granitemoe", ffn_kind::experts, GGML_ROPE_TYPE_NORMAL, query_norm::none, true, true, true, true },
    { "deepseek2", ffn_kind::experts, GGML_ROPE_TYPE_NORMAL, query_norm::none, false, true, false, false },
    { "qwen3", ffn_kind::dense, GGML_ROPE_TYPE_NEOX, query_norm::heads, false, false, false, false },
};

const architecture & architecture_of(const gguf_model & file) {
    std::string names;
    for (const architecture & each : known) {
        if (file.architecture() == each.name) {
            return each;
        }
        names += (names.empty() ? "" : ", ") + std::string(each.name);
    }
    throw untrainable(file, "its architecture is " + file.architecture() + ", and training knows " + names);
}

// A factor, of which 0 means that there is none.
float factor_of(const gguf_model & file, const char * name, float without) {
    const float factor = metadata_number(file, name, 0);
    return factor == 0 ? without : factor;
}

void read_scales(const gguf_model & file, base_shape & shape) {
    shape.embedding_scale = factor_of(file, "embedding_scale", 1);
    shape.residual_scale  = factor_of(file, "residual_scale", 1);
    shape.logit_scale     = 1 / factor_of(file, "logit_scale", 1);
    shape.attention_scale = factor_of(file, "attention.scale", shape.attention_scale);
}

// As llama_model_deepseek2::load_arch_hparams. Files of before expert_gating_func are DeepSeek-V2, or GLM-4.7-Flash by its sizes.
scoring scores_of_deepseek(const gguf_model & file, const base_shape & shape) {
    const bool    is_glm = (shape.layers == 47 || shape.layers == 48) && shape.vocabulary == 154880;
    const int64_t known  = file.hparam("expert_gating_func", 0), function = known == 0 ? (is_glm ? 2 : 1) : known;
    if (function != 1 && function != 2) {
        throw untrainable(file, "its router's function is number " + std::to_string(function) + ", and training knows 1 (softmax) and 2 (sigmoid)");
    }
    return function == 2 ? scoring::sigmoid : scoring::softmax;
}

void read_deepseek(const gguf_model & file, base_shape & shape) {
    const int64_t key = file.hparam("attention.key_length_mla", 0), value = file.hparam("attention.value_length_mla", 0);
    shape.latent             = file.hparam("attention.kv_lora_rank", 0);
    shape.head_k             = key > 0 && value > 0 ? key : shape.head_k;
    shape.head_v             = key > 0 && value > 0 ? value : shape.head_v;
    shape.kv_heads           = shape.heads;  // unfolded, whatever a file of halves says
    shape.dense_layers       = file.hparam("leading_dense_block_count", 0);
    shape.scores             = scores_of_deepseek(file, shape);
    shape.has_choice_bias    = true;
    shape.normalises_weights = file.hparam("expert_weights_norm", 0) != 0;
    shape.weights_scale      = factor_of(file, "expert_weights_scale", 1);
    const int64_t straight   = shape.head_k - shape.rope.dimensions;
    if (shape.latent <= 0 || shape.rope.dimensions <= 0 || straight <= 0 || straight % 2 != 0) {
        throw untrainable(file, "of the " + std::to_string(shape.head_k) + " numbers of a head " + std::to_string(shape.rope.dimensions) + " are turned, and keys come from " +
                                    std::to_string(shape.latent) + " numbers; there have to be some, and an even number that are not turned");
    }
    if (metadata_number(file, "attention.temperature_scale", 0) != 0) {
        throw untrainable(file, "its attention is scaled by position (attention.temperature_scale)");
    }
    const float growth    = latent_attention_growth(file, shape.rope);
    shape.attention_scale = growth * growth / std::sqrt(float(shape.head_k));
}

void read_groups(const gguf_model & file, base_shape & shape) {
    shape.expert_groups      = std::max<int64_t>(1, file.hparam("expert_group_count", 1));
    shape.expert_groups_used = file.hparam("expert_group_used_count", shape.expert_groups);
    const int64_t each       = shape.experts / shape.expert_groups;
    if (shape.expert_groups > 1 && (each < 2 || shape.expert_groups_used * each < shape.experts_used)) {
        throw untrainable(file, "a token uses " + std::to_string(shape.experts_used) + " experts of " + std::to_string(shape.expert_groups_used) + " groups of " + std::to_string(each) +
                                    "; groups have to have two or more, and experts enough");
    }
}

void check_experts(const gguf_model & file, const architecture & kind, const base_shape & shape) {
    if (shape.experts > 0 && kind.ffn == ffn_kind::dense) {
        throw untrainable(file, "it has " + std::to_string(shape.experts) + " experts, and models of the architecture " + kind.name + " have none");
    }
    if (shape.experts == 0 && kind.ffn == ffn_kind::experts) {
        throw untrainable(file, "it has no experts; of models without experts training knows llama and qwen3");
    }
    if (shape.experts > 0 && (shape.experts_used <= 0 || shape.experts_used > shape.experts)) {
        throw untrainable(file, "a token uses " + std::to_string(shape.experts_used) + " of its " + std::to_string(shape.experts) + " experts");
    }
}

// Those that the graph has no room for would change what it computes.
void check_same_in_all_layers(const gguf_model & file, const base_shape & shape) {
    const int64_t kv_heads = file.hparam("attention.head_count_kv", shape.heads);
    for (int64_t layer = 0; layer < shape.layers; layer++) {
        if (file.hparam_of_layer("attention.head_count", layer, shape.heads) != shape.heads || file.hparam_of_layer("attention.head_count_kv", layer, kv_heads) != kv_heads) {
            throw untrainable(file, "its layers have different numbers of attention heads");
        }
        if (file.hparam_of_layer("expert_used_count", layer, shape.experts_used) != shape.experts_used) {
            throw untrainable(file, "its layers use different numbers of experts");
        }
    }
    if (file.hparam("attention.causal", 1) == 0) {
        throw untrainable(file, "its tokens see what comes after them (attention.causal is false)");
    }
}

}  // namespace

int64_t trained_layers(const gguf_model & file) {
    return file.hparam("block_count", 0) - file.hparam("nextn_predict_layers", 0);
}

base_shape base_shape_of(const gguf_model & file) {
    const architecture & kind = architecture_of(file);
    base_shape           shape;
    shape.architecture = kind.name;
    shape.n_embd       = file.hparam("embedding_length", 0);
    shape.layers       = trained_layers(file);
    shape.heads        = file.hparam("attention.head_count", 0);
    shape.kv_heads     = file.hparam("attention.head_count_kv", shape.heads);
    shape.experts      = file.hparam("expert_count", 0);
    shape.experts_used = file.hparam("expert_used_count", 0);
    if (shape.heads <= 0 || shape.kv_heads <= 0) {
        throw untrainable(file, "it does not say how many attention heads it has");
    }
    check_experts(file, kind, shape);
    shape.head_k             = file.hparam("attention.key_length", shape.n_embd / shape.heads);
    shape.head_v             = file.hparam("attention.value_length", shape.n_embd / shape.heads);
    shape.norm_epsilon       = metadata_number(file, "attention.layer_norm_rms_epsilon", 1e-5);
    shape.norm_of_queries    = kind.norm_of_queries;
    shape.has_shared_expert  = kind.has_shared_expert;
    shape.normalises_weights = kind.normalises_weights;
    shape.attention_scale    = 1 / std::sqrt(float(shape.head_k));
    shape.rope               = base_rope_of(file, kind.rope, shape.head_k);
    shape.has_rope_factors   = kind.has_rope_factors;
    shape.is_long_rope       = rope_scaling_of(file) == "longrope";
    const gguf_tensor * embedding = file.find_tensor("token_embd.weight");
    shape.vocabulary              = embedding ? embedding->ne[1] : 0;
    if (kind.has_scales) {
        read_scales(file, shape);
    }
    if (shape.architecture == "deepseek2") {
        read_deepseek(file, shape);
    }
    read_groups(file, shape);
    check_same_in_all_layers(file, shape);
    return shape;
}

}  // namespace moebius
