// What is trained, in the host's memory: low-rank adapters by the names and in the layout of llama.cpp's adapter files, and whole tensors.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace moebius {

// A tensor that steps change. `values` is the only copy that counts; devices get copies of it.
struct train_parameter {
    std::string        name;  // in a file: "blk.0.ffn_gate_exps.weight.lora_a", or that of a base tensor
    int64_t            n0 = 1, n1 = 1, n2 = 1;  // as ggml counts: n0 numbers lie side by side
    std::vector<float> values;
    std::vector<float> gradient;  // of values' size: of the loss, added up over the batches of a step

    int64_t count() const { return n0 * n1 * n2; }  // numbers
};

// LoRA (arXiv 2106.09685) on one base tensor: W + lora_scale * (a b)^T. Matrices: a [n_in, r], b [r, n_out]; stacks of experts: a [n_in, r, experts], b [r, n_out, experts].
struct adapted_tensor {
    std::string base;       // "blk.0.ffn_gate_exps.weight"
    size_t      a = 0, b = 0;  // of adapter::parameters
    int64_t     lora_rank          = 0;
    float       lora_alpha         = 0;
    bool        is_rank_stabilised = false;  // rsLoRA, arXiv 2312.03732: alpha / sqrt(r) in place of alpha / r
    float       dropout            = 0;      // share of its input's numbers that steps leave out; files of adapters don't have it

    std::vector<int32_t> experts = {};  // whose matrices the stacks have, ascending; empty: every expert's

    float scale() const;

    // Where in the stacks an expert's matrices are, -1: it has none.
    int32_t matrix_of(int32_t expert) const;
};

// Which experts are adapted. What the others would have is nowhere: neither numbers, nor gradients, nor moments.
struct expert_choice {
    std::vector<std::vector<int32_t>> experts;             // [layers], ascending, further layers none; empty: every expert of every layer
    std::vector<std::vector<double>>  affinities;          // [layers] of these experts, shares of their layer's; empty: they were named
    int64_t                           sampled_tokens = 0;  // of the data that decided
};

// MixLoRA (arXiv 2404.15159): each layer's dense FFN becomes experts, each an adapter on gate, up and down (stacks [., ., experts] on the base's matrices),
// which a new router chooses: the whole tensor blk.N.ffn_gate_inp.weight [n_embd, experts], which the base does not have.
struct lora_mixture {
    int64_t experts = 0, experts_used = 0;  // 0: none
};

// "blk.3.ffn_gate_inp.weight"
std::string router_name(int64_t layer);

struct adapter {
    std::string                  architecture;  // of the base, GGUF's general.architecture
    std::vector<train_parameter> parameters;
    std::vector<adapted_tensor>  tensors;       // whose parameters are among them; others are whole tensors
    lora_mixture                 mixture = {};
};

// Without what is no pair of matrices of a base tensor: whole tensors.
adapter pairs_of(const adapter & of);

// The same function with a matrix for every expert of the base, zeros for those that are not adapted: what files have.
adapter with_all_experts(const adapter & of, int64_t experts);

}  // namespace moebius
