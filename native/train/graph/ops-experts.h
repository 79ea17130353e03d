// The experts of a layer: a SwiGLU FFN each, frozen, with or without a low-rank adapter.
#pragma once

#include "ops-linear.h"
#include "routing.h"

namespace moebius {

// One matrix of all experts, as GGUF files stack it, and its adapters, stacked as llama.cpp's adapter files do.
struct expert_matrices {
    ggml_tensor *        weight  = nullptr;  // [n_in, n_out, experts], any type
    ggml_tensor *        lora_a  = nullptr;  // F32 [n_in, r, adapters]; null: no adapters
    ggml_tensor *        lora_b  = nullptr;  // F32 [r, n_out, adapters]
    float                scale   = 1;        // alpha / r
    bool                 trained = true;     // the adapters
    ggml_tensor *        dropout = nullptr;  // F32 [n_in, assignments], as in lora_weights
    std::vector<int32_t> places  = {};       // [experts] where in these stacks their adapters are, -1: they have none; empty: each at its own number
};

struct expert_ffn {
    expert_matrices gate, up;  // without up.weight, gate is ffn_gate_up_exps: [n_embd, 2 * n_ff, experts], gate rows first
    expert_matrices down;
};

// An adapter that was used, with the tape's values of it, whose gradients are [n_in, r] and [r, n_out]. Experts that are not here have none.
struct used_adapter {
    const expert_matrices * matrices = nullptr;
    int32_t                 expert   = 0;
    train_value             a, b;
};

// An expert's adapter as values of the tape, which are noted in `adapters`. For ops that compute experts; `matrices` have adapters.
lora_weights expert_lora(train_tape & tape, const expert_matrices & matrices, const expert_groups::group & group, std::vector<used_adapter> & adapters);

struct expert_output {
    train_value               sum;  // [n_embd, tokens]
    std::vector<used_adapter> adapters;
    ggml_tensor *             by_expert = nullptr;  // [n_embd, groups], each expert's outputs added up, not weighed; if wanted
};

// sum over a token's experts of weight * down(swiglu(gate x, up x)). x: [n_embd, tokens]; weights: [1, assignments].
// Experts without tokens emit nothing. ffn is to outlive the tape's use. wants_by_expert: at the cost of one more column of `down` for each expert; without its dropout.
expert_output train_experts(train_tape & tape, const train_value & x, const train_value & weights, const expert_ffn & ffn, const routing_inputs & routing, bool wants_by_expert = false);

}  // namespace moebius
