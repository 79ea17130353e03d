// LoRA adapters as GGUF files that llama.cpp loads (src/llama-adapter.cpp of 0.5.0): general.type = adapter, adapter.type = lora,
// pairs `<base tensor>.lora_a` [n_in, r(, experts)] and `.lora_b` [r, n_out(, experts)], F32 or F16.
#pragma once

#include "train/adapter/adapter.h"
#include "model/gguf-file.h"

#include <ggml.h>

#include <cstdint>
#include <string>
#include <vector>

namespace moebius {

// Writes `path`, whole or not at all. type: F32 or F16. trained: with_all_experts.
// A file has one alpha, and llama.cpp scales each pair with alpha / r. What the most tensors have is written (alpha * sqrt(r) where the rank is
// stabilised); the `b` of the others is multiplied with their alpha's share of it, so that the file gives the same function, to the rounding of F32.
// Throws model.unsupported: whole tensors, or a pair that llama.cpp would load and not use; file.corrupt: numbers that are not finite, or that F16
// cannot hold; disk.full, file.unwritable.
void adapter_write(const adapter & trained, const std::string & path, ggml_type type);

// A LoRA file of llama.cpp whose kind and shapes fit its base; the numbers are still in it.
struct adapter_file {
    std::string              path;
    float                    alpha = 0;  // of the file; 0: pairs are not scaled
    adapter                  described;  // parameters without values
    std::vector<gguf_tensor> matrices;   // [parameters of described]
};

// Throws what adapter_read throws, but for numbers.
adapter_file adapter_open(const std::string & path, const gguf_model & base);

// Bytes of a parameter as the file has them, F32 or F16. Throws file.unreadable, file.corrupt: numbers that are not finite.
std::vector<uint8_t> adapter_bytes(const adapter_file & file, size_t parameter);

// Pairs that llama.cpp would load and not use. Throws model.unsupported, naming the tensor; `instead`: what to do, a sentence.
void refuse_unused_pairs(const adapter & trained, const std::string & instead);

// Reads any LoRA file of llama.cpp for `base`; all pairs get the file's alpha (none or 0: a scale of 1), none is rank-stabilised. What adapter_write wrote as F32
// comes back bit for bit if one alpha was enough and no rank stabilised. Throws file.* as gguf_open does; file.corrupt: a pair that lacks its half, impossible shapes,
// numbers that are not finite; request.invalid: an adapter of another model; model.unsupported: no LoRA, or a kind of it that only other programs know.
adapter adapter_read(const std::string & path, const gguf_model & base);

}  // namespace moebius
