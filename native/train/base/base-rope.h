// Rotary positions of a base model, from its metadata as llama.cpp's contexts take them (llama_hparams, llama-context.cpp).
#pragma once

#include "model/gguf-file.h"
#include "train/graph/ops-attention.h"

namespace moebius {

// rope.scaling.type: none, linear, yarn or longrope; another method: as it is.
std::string rope_scaling_of(const gguf_model & file);

// mode: GGML_ROPE_TYPE_*; head: numbers of one, all turned unless the file says how many. Without factors.
// Throws user_error model.unsupported: a method of scaling that llama.cpp does not know either.
rope_settings base_rope_of(const gguf_model & file, int mode, int64_t head);

// By how much attention with YaRN in deepseek2 multiplies q and k, the numbers that are not turned included: the square is a factor of the scores' scale.
float latent_attention_growth(const gguf_model & file, const rope_settings & rope);

}  // namespace moebius
