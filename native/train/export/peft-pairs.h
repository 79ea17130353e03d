// Pairs of an adapter in the layout of PEFT, without names of files.
#pragma once

#include "train/adapter/adapter.h"
#include "peft-names.h"

#include <string>
#include <vector>

namespace moebius {

// What PEFT adapts as one.
struct peft_pair {
    peft_target        target;
    int64_t            n_in = 0, n_out = 0, experts = 1;
    int64_t            lora_rank  = 0;
    double             lora_alpha = 0;  // its scale is lora_alpha / lora_rank
    std::vector<float> a;               // (experts * r, n_in)
    std::vector<float> b;               // (n_out, r * experts)
    std::string        prefix;          // of its names: module, with ".base_layer" where another parameter of the module is wrapped around it
};

// In the order of the adapter. Throws model.unsupported.
std::vector<peft_pair> peft_pairs(const adapter & trained, const gguf_model & base);

}  // namespace moebius
