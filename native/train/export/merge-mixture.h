// A mixture of LoRA experts (MixLoRA) on a dense base as a model with experts: tensors and metadata of the merged file.
#pragma once

#include "merge-plan.h"

namespace moebius {

// Of the base's `from`, a matrix of the FFN with the pair `pair`: the stack of as many experts that it becomes, blk.N.ffn_gate_exps.weight [n_in, n_out, experts]. type: what `from` becomes.
merged_tensor mixture_stack(const gguf_tensor & from, ggml_type type, const adapted_tensor & pair, const lora_mixture & mixture);

// A router, which the base does not have.
merged_tensor mixture_router(const train_parameter & router);

// The base's metadata, of the architecture that has the experts (llama: llama, qwen3: qwen3moe), with their counts and sizes.
void set_mixture_metadata(gguf_context * header, const gguf_model & base, const lora_mixture & mixture);

}  // namespace moebius
