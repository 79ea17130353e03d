#include "base-rope.h"

#include "base-metadata.h"

#include <cmath>

namespace moebius {

namespace {

// What YaRN multiplies turned numbers by (arXiv 2309.00071, eq. 22), log_factor: of the context's growth.
float yarn_growth(float factor, float multiplier) {
    return factor <= 1 ? 1.0f : 0.1f * multiplier * std::log(factor) + 1;
}

// rope.scaling.yarn_log_multiplier, of which convert_hf_to_gguf.py writes a tenth. Only deepseek2 among the architectures that can be trained reads it.
float log_multiplier(const gguf_model & file) {
    return file.architecture() == "deepseek2" ? metadata_number(file, "rope.scaling.yarn_log_multiplier", 0) / 0.1f : 0;
}

// What ggml_rope_ext is to multiply by. With YaRN it multiplies by 1 + log(factor) / 10 itself, which is cancelled.
float yarn_attention(const gguf_model & file, float factor) {
    const float all    = log_multiplier(file);
    const float turned = all == 0 || all == 1 ? 1 : all;  // DeepSeek-V2 has the same for both, and llama.cpp takes 1 for others
    const float growth = all == 0 ? yarn_growth(factor, 1) : yarn_growth(factor, turned) / yarn_growth(factor, all);
    return growth * (1 / (1 + 0.1f * std::log(factor)));
}

}  // namespace

std::string rope_scaling_of(const gguf_model & file) {
    const gguf_value * type = file.find_hparam("rope.scaling.type");
    return type && type->text() ? *type->text() : "linear";
}

rope_settings base_rope_of(const gguf_model & file, int mode, int64_t head) {
    rope_settings     rope;
    const std::string scaling = rope_scaling_of(file);
    if (scaling != "none" && scaling != "linear" && scaling != "yarn" && scaling != "longrope") {
        throw untrainable(file, "its positions are scaled by the method \"" + scaling + "\", and known are none, linear, yarn and longrope");
    }
    const float factor  = metadata_number(file, "rope.scaling.factor", metadata_number(file, "rope.scale_linear", 0));
    const float base    = metadata_number(file, "rope.freq_base", 10000);
    if (factor < 0 || base <= 0) {
        throw untrainable(file, "its positions are scaled by " + std::to_string(factor) + " and turn with a base of " + std::to_string(base) + ", which is impossible");
    }
    rope.mode           = mode;
    rope.dimensions     = int(file.hparam("rope.dimension_count", head));
    rope.context_length = int(file.hparam("rope.scaling.original_context_length", file.hparam("context_length", 0)));
    rope.base           = base;
    rope.scale          = factor == 0 || scaling == "none" ? 1 : 1 / factor;
    rope.extension      = scaling == "yarn" ? 1 : 0;
    rope.attention      = metadata_number(file, "rope.scaling.attn_factor", 1) * (rope.extension != 0 ? yarn_attention(file, 1 / rope.scale) : 1);
    return rope;
}

float latent_attention_growth(const gguf_model & file, const rope_settings & rope) {
    const float factor   = std::log(1 / rope.scale);
    const float original = rope.attention * (1 + 0.1f * factor);
    return original * (1 + 0.1f * log_multiplier(file) * factor);
}

}  // namespace moebius
