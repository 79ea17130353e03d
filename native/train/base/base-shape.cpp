#include "base-shape.h"

#include "rpc/errors.h"

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
};

// As llama.cpp's graphs of these names (src/models): routers with softmax, dense FFNs, experts and shared experts with SwiGLU.
constexpr architecture known[] = {
    { "qwen3moe", ffn_kind::experts, GGML_ROPE_TYPE_NEOX, query_norm::heads, true, false, false },
    { "qwen2moe", ffn_kind::experts, GGML_ROPE_TYPE_NEOX, query_norm::none, false, true, false },
    { "olmoe", ffn_kind::experts, GGML_ROPE_TYPE_NEOX, query_norm::all, false, false, false },
    { "llama", ffn_kind::either, GGML_ROPE_TYPE_NORMAL, query_norm::none, true, false, false },
    { "granitemoe", ffn_kind::experts, GGML_ROPE_TYPE_NORMAL, query_norm::none, true, true, true },
    { "qwen3", ffn_kind::dense, GGML_ROPE_TYPE_NEOX, query_norm::heads, false, false, false },
};

user_error unsupported(const gguf_model & file, const std::string & what) {
    return user_error("model.unsupported", "This model cannot be trained: " + what + ".", { { "architecture", file.architecture() } });
}

const architecture & architecture_of(const gguf_model & file) {
    std::string names;
    for (const architecture & each : known) {
        if (file.architecture() == each.name) {
            return each;
        }
        names += (names.empty() ? "" : ", ") + std::string(each.name);
    }
    throw unsupported(file, "its architecture is " + file.architecture() + ", and training knows " + names);
}

float number_of(const gguf_model & file, const char * name, double fallback) {
    const gguf_value * value = file.find_hparam(name);
    return float(value ? value->number().value_or(fallback) : fallback);
}

rope_settings rope_of(const gguf_model & file, int mode, int64_t head_k) {
    rope_settings      rope;
    const gguf_value * type    = file.find_hparam("rope.scaling.type");
    const std::string  scaling = type && type->text() ? *type->text() : "none";
    if (scaling != "none" && scaling != "linear") {
        throw unsupported(file, "its positions are scaled by the method \"" + scaling + "\", and training knows none and linear");
    }
    rope.mode           = mode;
    rope.dimensions     = int(file.hparam("rope.dimension_count", head_k));
    rope.context_length = int(file.hparam("context_length", 0));
    rope.base           = number_of(file, "rope.freq_base", 10000);
    rope.scale          = scaling == "linear" ? 1 / number_of(file, "rope.scaling.factor", 1) : 1;
    return rope;
}

void read_scales(const gguf_model & file, base_shape & shape) {
    shape.embedding_scale       = number_of(file, "embedding_scale", 1);
    shape.residual_scale        = number_of(file, "residual_scale", 1);
    shape.logit_scale           = 1 / number_of(file, "logit_scale", 1);
    const float attention_scale = number_of(file, "attention.scale", 0);
    shape.attention_scale       = attention_scale == 0 ? shape.attention_scale : attention_scale;
}

void check_experts(const gguf_model & file, const architecture & kind, const base_shape & shape) {
    if (shape.experts > 0 && kind.ffn == ffn_kind::dense) {
        throw unsupported(file, "it has " + std::to_string(shape.experts) + " experts, and models of the architecture " + kind.name + " have none");
    }
    if (shape.experts == 0 && kind.ffn == ffn_kind::experts) {
        throw unsupported(file, "it has no experts; of models without experts training knows llama and qwen3");
    }
    if (shape.experts > 0 && (shape.experts_used <= 0 || shape.experts_used > shape.experts)) {
        throw unsupported(file, "a token uses " + std::to_string(shape.experts_used) + " of its " + std::to_string(shape.experts) + " experts");
    }
}

// Those that the graph has no room for would change what it computes.
void check_same_in_all_layers(const gguf_model & file, const base_shape & shape) {
    for (int64_t layer = 0; layer < shape.layers; layer++) {
        if (file.hparam_of_layer("attention.head_count", layer, shape.heads) != shape.heads || file.hparam_of_layer("attention.head_count_kv", layer, shape.kv_heads) != shape.kv_heads) {
            throw unsupported(file, "its layers have different numbers of attention heads");
        }
    }
    if (file.hparam("attention.sliding_window", 0) > 0) {
        throw unsupported(file, "its attention sees a sliding window only");
    }
}

}  // namespace

base_shape base_shape_of(const gguf_model & file) {
    const architecture & kind = architecture_of(file);
    base_shape           shape;
    shape.architecture = kind.name;
    shape.n_embd       = file.hparam("embedding_length", 0);
    shape.layers       = file.hparam("block_count", 0);
    shape.heads        = file.hparam("attention.head_count", 0);
    shape.kv_heads     = file.hparam("attention.head_count_kv", shape.heads);
    shape.experts      = file.hparam("expert_count", 0);
    shape.experts_used = file.hparam("expert_used_count", 0);
    if (shape.heads <= 0) {
        throw unsupported(file, "it does not say how many attention heads it has");
    }
    check_experts(file, kind, shape);
    shape.head_k             = file.hparam("attention.key_length", shape.n_embd / shape.heads);
    shape.head_v             = file.hparam("attention.value_length", shape.n_embd / shape.heads);
    shape.norm_epsilon       = number_of(file, "attention.layer_norm_rms_epsilon", 1e-5);
    shape.norm_of_queries    = kind.norm_of_queries;
    shape.has_shared_expert  = kind.has_shared_expert;
    shape.normalises_weights = kind.normalises_weights;
    const float weights      = number_of(file, "expert_weights_scale", 0);
    shape.weights_scale      = weights == 0 ? 1 : weights;
    shape.attention_scale    = 1 / std::sqrt(float(shape.head_k));
    shape.rope               = rope_of(file, kind.rope, shape.head_k);
    if (kind.has_scales) {
        read_scales(file, shape);
    }
    check_same_in_all_layers(file, shape);
    const gguf_tensor * embedding = file.find_tensor("token_embd.weight");
    shape.vocabulary              = embedding ? embedding->ne[1] : 0;
    return shape;
}

}  // namespace moebius
