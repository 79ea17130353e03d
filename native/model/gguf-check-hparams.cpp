// Hyperparameters: `<architecture>.*` metadata.
#include "gguf-check.h"
#include "gguf-part.h"
#include "utf8.h"

#include <cmath>
#include <set>

namespace moebius {

// limits of llama.cpp (LLAMA_MAX_LAYERS, LLAMA_MAX_EXPERTS; it aborts beyond) and far outer bounds for the rest
constexpr int64_t MAX_LAYERS    = 512;
constexpr int64_t MAX_EXPERTS   = 1024;
constexpr int64_t MAX_CONTEXT   = 1ll << 30;
constexpr int64_t MAX_EMBEDDING = 1ll << 20;
constexpr int64_t MAX_HEADS     = 1ll << 16;

[[noreturn]] static void fail_hparam(const gguf_model & model, const std::string & suffix, const std::string & message) {
    const std::string key = model.architecture() + "." + suffix;
    gguf_fail("file.corrupt", model.files.front(), "'" + utf8_quote(key) + "' " + message, { { "key", utf8_quote(key) } });
}

static std::string range_text(int64_t low, int64_t high) {
    return std::to_string(low) + " to " + std::to_string(high);
}

// An unsigned 32-bit scalar within [low, high], or absent if not required. Returns it, or `fallback` if absent.
static int64_t check_scalar(const gguf_model & model, const char * suffix, bool required, int64_t low, int64_t high, int64_t fallback = 0) {
    const gguf_value * value = model.find_hparam(suffix);
    if (value == nullptr) {
        if (required) {
            fail_hparam(model, suffix, "is missing");
        }
        return fallback;
    }
    if (value->array || value->type != GGUF_TYPE_UINT32) {
        fail_hparam(model, suffix, "is not an unsigned 32-bit number");
    }
    const int64_t number = *value->integer();
    if (number < low || number > high) {
        fail_hparam(model, suffix, "is " + std::to_string(number) + "; possible are " + range_text(low, high));
    }
    return number;
}

// The same for a value that may also be an array with one element a layer.
static void check_per_layer(const gguf_model & model, const char * suffix, int64_t layers, int64_t low, int64_t high) {
    const gguf_value * value = model.find_hparam(suffix);
    if (value == nullptr) {
        return;
    }
    if (!value->array) {
        check_scalar(model, suffix, false, low, high);
        return;
    }
    if ((value->type != GGUF_TYPE_UINT32 && value->type != GGUF_TYPE_INT32) || value->count != uint64_t(layers)) {
        fail_hparam(model, suffix, "is an array of " + std::to_string(value->count) + " elements of type " + gguf_type_name(value->type) +
             "; " + std::to_string(layers) + " of 32 bits are expected, one a layer");
    }
    for (uint64_t i = 0; i < value->count; ++i) {
        if (*value->integer(i) < low || *value->integer(i) > high) {
            fail_hparam(model, suffix, "is " + std::to_string(*value->integer(i)) + " for layer " + std::to_string(i) + "; possible are " +
                 range_text(low, high));
        }
    }
}

static void check_experts(const gguf_model & model, int64_t layers) {
    const int64_t experts = check_scalar(model, "expert_count", false, 0, MAX_EXPERTS);
    check_per_layer(model, "expert_used_count", layers, 0, experts);
    const int64_t used = model.hparam("expert_used_count", 0);
    if (experts > 0 && used == 0) {
        fail_hparam(model, "expert_used_count", "is missing or 0 although there are " + std::to_string(experts) + " experts");
    }
    const int64_t groups      = check_scalar(model, "expert_group_count", false, 0, MAX_EXPERTS);
    const int64_t groups_used = check_scalar(model, "expert_group_used_count", false, 0, MAX_EXPERTS);
    if (groups > 0 && groups >= experts) {
        fail_hparam(model, "expert_group_count", "is " + std::to_string(groups) + " for " + std::to_string(experts) + " experts");
    }
    if (groups > 1 && (experts % groups != 0 || groups_used < 1 || groups_used >= groups)) {
        fail_hparam(model, "expert_group_used_count", "is " + std::to_string(groups_used) + " of " + std::to_string(groups) + " groups of " +
             std::to_string(experts) + " experts, which does not divide");
    }
    check_scalar(model, "expert_gating_func", false, 1, 4);
    check_per_layer(model, "expert_feed_forward_length", layers, 0, MAX_EMBEDDING);
    check_scalar(model, "expert_shared_count", false, 0, MAX_EXPERTS);
    check_scalar(model, "leading_dense_block_count", false, 0, layers);
    if (model.architecture() == "ernie4_5-moe") {
        check_scalar(model, "interleave_moe_layer_step", true, 1, layers);
    }
    check_scalar(model, "full_attention_interval", false, 1, MAX_LAYERS);
}

// models/*.cpp with GGML_ASSERT(n_embd_head == n_rot) and n_embd_head_k == n_embd_head_v
static bool rotates_whole_head(const std::string & architecture) {
    static const std::set<std::string> names = {
        "apertus",   "arcee",       "arctic",     "baichuan",   "chameleon", "codeshell",  "cogvlm",         "cohere2moe",
        "dbrx",      "deci",        "deepseek",   "dots1",      "ernie4_5",  "exaone",     "ernie4_5-moe",   "exaone-moe",
        "exaone4",   "falcon",      "granite",    "granitemoe", "grok",      "granite_swa", "graniteswitch", "grovemoe",
        "hy_v3",     "hunyuan-moe", "hunyuan_vl", "internlm2",  "jais2",     "llama",      "llama4",         "hunyuan-dense",
        "maincoder", "mellum",      "minimax-01", "minimax-m2", "mistral3",  "nemotron",   "olmo",           "olmo2",
        "olmoe",     "orion",       "paddleocr",  "plamo",      "qwen2",     "qwen2moe",   "qwen2vl",        "pangu-embedded",
        "qwen3",     "qwen3moe",    "qwen3vl",    "qwen3vlmoe", "seed_oss",  "smollm3",    "smallthinker",   "starcoder2",
        "talkie",    "xverse",
    };
    return names.count(architecture) > 0;
}

static void check_heads(const gguf_model & model, int64_t layers, int64_t embedding) {
    check_per_layer(model, "attention.head_count", layers, 0, MAX_HEADS);
    check_per_layer(model, "attention.head_count_kv", layers, 0, MAX_HEADS);
    for (int64_t layer = 0; layer < layers; ++layer) {
        const int64_t heads    = model.hparam_of_layer("attention.head_count", layer, 0);
        const int64_t heads_kv = model.hparam_of_layer("attention.head_count_kv", layer, heads);
        if (heads_kv > 0 && heads % heads_kv != 0) {
            fail_hparam(model, "attention.head_count", "is " + std::to_string(heads) + ", not a multiple of the " + std::to_string(heads_kv) +
                 " key-value heads of layer " + std::to_string(layer));
        }
    }
    const int64_t heads = model.hparam_of_layer("attention.head_count", 0, 0);
    if (heads == 0) {
        return;  // no attention in the first layer: llama.cpp derives no head size
    }
    const int64_t key    = check_scalar(model, "attention.key_length", false, 1, MAX_EMBEDDING, embedding / heads);
    const int64_t value  = check_scalar(model, "attention.value_length", false, 1, MAX_EMBEDDING, embedding / heads);
    const int64_t rotate = check_scalar(model, "rope.dimension_count", false, 0, MAX_EMBEDDING, key);
    if (key < 1 || value < 1) {
        fail_hparam(model, "attention.head_count", "is " + std::to_string(heads) + " for an embedding of " + std::to_string(embedding));
    }
    if (rotate > key || rotate % 2 != 0) {
        fail_hparam(model, "rope.dimension_count", "is " + std::to_string(rotate) + "; it has to be even and at most the head size " +
             std::to_string(key));
    }
    if (rotates_whole_head(model.architecture()) && (key != value || rotate != key)) {
        fail_hparam(model, "attention.key_length", "is " + std::to_string(key) + ", value_length " + std::to_string(value) +
             " and rope.dimension_count " + std::to_string(rotate) + "; this architecture needs them equal");
    }
}

static void check_rope(const gguf_model & model) {
    const gguf_value * scaling = model.find_hparam("rope.scaling.type");
    if (scaling != nullptr) {
        static const std::set<std::string> known = { "none", "linear", "yarn", "longrope" };
        const auto *                       text  = scaling->array ? nullptr : scaling->text();
        if (text == nullptr || known.count(*text) == 0) {
            fail_hparam(model, "rope.scaling.type", "is not one of none, linear, yarn, longrope");
        }
    }
    const gguf_value * sections = model.find_hparam("rope.dimension_sections");
    if (sections == nullptr) {
        return;
    }
    int64_t sum = 0;
    for (uint64_t i = 0; i < sections->count; ++i) {
        const int64_t section = sections->integer(i).value_or(-1);
        if (section < 0 || section > MAX_EMBEDDING || sections->count > 4) {
            fail_hparam(model, "rope.dimension_sections", "is not an array of up to 4 sizes");
        }
        sum += section;
    }
    if (sum == 0 && model.architecture() != "glm4moe" && model.architecture() != "glm4") {
        fail_hparam(model, "rope.dimension_sections", "is all zero");
    }
}

// no NaN anywhere; epsilons, which the kernels assert to be >= 0, and rope factors also finite
static void check_floats(const gguf_model & model) {
    const std::string prefix = model.architecture() + ".";
    for (const auto & [key, value] : model.metadata) {
        if (value.type != GGUF_TYPE_FLOAT32 || key.compare(0, prefix.size(), prefix) != 0) {
            continue;
        }
        const std::string suffix  = key.substr(prefix.size());
        const bool        epsilon = suffix.find("epsilon") != std::string::npos;
        const bool        finite  = epsilon || suffix.compare(0, 5, "rope.") == 0;
        for (uint64_t i = 0; i < value.count; ++i) {
            const double number = *value.number(i);
            if (std::isnan(number) || (finite && !std::isfinite(number)) || (epsilon && (number < 0 || number > 1))) {
                fail_hparam(model, suffix, "is " + std::to_string(number) + ", which is impossible");
            }
        }
    }
}

void gguf_check_hparams(const gguf_model & model) {
    check_scalar(model, "context_length", true, 1, MAX_CONTEXT);
    const int64_t embedding  = check_scalar(model, "embedding_length", true, 1, MAX_EMBEDDING);
    const int64_t layers     = check_scalar(model, "block_count", true, 1, MAX_LAYERS);
    const int64_t prediction = check_scalar(model, "nextn_predict_layers", false, 0, MAX_LAYERS);
    if (prediction >= layers) {
        fail_hparam(model, "nextn_predict_layers", "is " + std::to_string(prediction) + " of " + std::to_string(layers) + " layers");
    }
    check_scalar(model, "pooling_type", false, 0, 4);
    check_per_layer(model, "feed_forward_length", layers, 0, 1ll << 24);
    check_experts(model, layers);
    check_heads(model, layers, embedding);
    check_rope(model);
    check_floats(model);
}

}  // namespace moebius
