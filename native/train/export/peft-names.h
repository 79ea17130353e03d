// Where Hugging Face Transformers 5 has the tensors of a GGUF model.
#pragma once

#include "model/gguf-file.h"

#include <string>

namespace moebius {

enum class peft_kind {
    module,     // torch.nn.Linear: target_modules
    parameter,  // a parameter of a module, two or three dimensions: target_parameters
};

// Rows of a parameter that hold several of GGUF's matrices.
enum class peft_part { whole, gate, up };  // gate above up

struct peft_target {
    peft_kind   kind = peft_kind::module;
    std::string module;     // "model.layers.0.self_attn.q_proj"
    std::string parameter;  // "gate_up_proj"; of kind parameter
    peft_part   part           = peft_part::whole;
    int64_t     permuted_heads = 0;  // of llama.cpp's order of rows of q and k, in which the two halves of a head's rows alternate; 0: rows are in Transformers' order

    // as target_modules and target_parameters have it
    std::string name() const { return kind == peft_kind::module ? module : module + "." + parameter; }
};

// Throws model.unsupported with the reason: an architecture or tensor for which PEFT has no place.
peft_target peft_target_of(const gguf_model & base, const std::string & tensor);

}  // namespace moebius
