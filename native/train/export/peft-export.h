// An adapter as Hugging Face PEFT saves it: adapter_model.safetensors and adapter_config.json.
#pragma once

#include "train/adapter/adapter.h"
#include "model/gguf-file.h"

#include <string>

namespace moebius {

// Writes both files into `folder`, which is made if it is not there; each appears whole or not at all, the configuration last. `base_name` is what PEFT loads the base
// by ("Qwen/Qwen3-30B-A3B"); empty: none is named. trained: with_all_experts.
// For PEFT from 0.19.1 and Transformers from 5: experts are target_parameters there. Of a stack of experts lora_A is (experts * r, n_in), experts slowest, lora_B
// (n_out, r * experts), experts fastest; gate and up are one parameter, whose pairs are put together: ranks side by side, lora_B in blocks. Of a module with two
// adapted parameters the first (gate_up_proj) is the inner one, `base_layer` in names.
// Throws model.unsupported (with the tensor and the reason), file.corrupt (numbers that are not finite), disk.full, file.unwritable.
void peft_write(const adapter & trained, const gguf_model & base, const std::string & base_name, const std::string & folder);

}  // namespace moebius
