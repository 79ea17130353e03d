// Finds the expert FFN of a layer in a ggml graph, as llm_graph_context::build_moe_ffn of llama.cpp writes it.
#pragma once

#include "expert-buffer.h"

#include <vector>

namespace moebius {

// gate, up, swiglu, down, weighting and sum as one piece of work. Its intermediate results are wanted by nobody else.
struct moe_ffn_nodes {
    int                 first   = 0;  // graph nodes first .. last all belong to it
    int                 last    = 0;
    const ggml_tensor * input   = nullptr;  // F32 [n_embd, 1, tokens]
    const ggml_tensor * ids     = nullptr;  // I32 [used, tokens]
    const ggml_tensor * weights = nullptr;  // F32 [1, used, tokens]
    ggml_tensor *       output  = nullptr;  // F32 [n_embd, tokens]
    expert_tensor *     down    = nullptr;
};

// In the order of the graph. What is missing here is computed node by node.
std::vector<moe_ffn_nodes> find_moe_ffns(ggml_cgraph * graph);

// Computes with an expert tensor, or (elementwise) with the result of a node that does: the nodes that the experts' device takes.
bool uses_experts(const ggml_tensor * node);

}  // namespace moebius
