// What llama.cpp takes for granted about a model and aborts or crashes on, checked beforehand. Sources: GGML_ASSERT and
// GGML_ABORT in llama.cpp 0.5.0's llama-model.cpp, llama-model-loader.cpp, llama-vocab.cpp, llama-hparams.cpp,
// llama-graph.cpp, models/*.cpp, ggml.c, ggml-cpu/*.cpp. What llama.cpp refuses with an error is left to it.
//
// All throw user_error, file.corrupt unless said otherwise.
#pragma once

#include "gguf-file.h"

namespace moebius {

// architecture and kind of file: model.unsupported for adapters, projectors, encoders, diffusion and draft models
void gguf_check_kind(const gguf_model & model);

// counts, head sizes, expert counts, epsilons, rope
void gguf_check_hparams(const gguf_model & model);

// types that kernels exist for, expert shapes, layer numbers
void gguf_check_tensors(const gguf_model & model);

// vocabulary, merges, special tokens
void gguf_check_tokenizer(const gguf_model & model);

// size and nesting of the chat templates, which llama.cpp parses by recursion
void gguf_check_templates(const gguf_model & model);

}  // namespace moebius
