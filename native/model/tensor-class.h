// What a tensor of a model is for, by its name. Names: LLM_TENSOR_NAMES of llama.cpp's llama-arch.cpp.
#pragma once

#include <cstdint>
#include <string>

namespace moebius {

// the order in which inspect lists them; names as in TensorClass of main/engine/protocol.ts
enum class tensor_class { embedding, output, attention, router, experts, shared_experts, dense_ffn, norm, other };

constexpr int TENSOR_CLASS_COUNT = 9;

tensor_class classify_tensor(const std::string & name);
const char * tensor_class_name(tensor_class which);

// number of the block in `blk.<number>.*`; -1 for tensors outside blocks
int64_t tensor_layer(const std::string & name);

// `blk.3.attn_q.weight` -> `attn_q`: without block and last part
std::string tensor_base(const std::string & name);
// -> `weight`; empty if there is no dot
std::string tensor_suffix(const std::string & name);

}  // namespace moebius
