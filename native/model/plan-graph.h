// The graphs that llama.cpp would compute for a model, as a list of nodes to be priced.
#pragma once

#include "experts.h"
#include "llama-log.h"

#include <llama-cpp.h>

#include <set>

namespace moebius {

struct graph_item {
    const ggml_tensor * node    = nullptr;
    int32_t             block   = -1;     // of the model; -1: none
    bool                experts = false;  // of the FFN of routed experts
    double              bytes   = 0;      // of weights and KV cache that it reads
    double              flops   = 0;
};

// The FFN of routed experts of one layer, as the experts' device computes it.
struct planned_ffn {
    uint32_t layer  = 0;  // of the expert layout
    uint32_t tokens = 0;  // fewer than the step's in the last layer: only of tokens whose logits are wanted
};

struct planned_graph {
    std::vector<graph_item>  items;       // valid as long as the planned_model, until its next graph
    std::vector<planned_ffn> fused;       // not in `items`
    uint32_t                 pieces = 0;  // computed one after another: each wakes the threads anew
};

// Blocks of a model, without those that only predict further tokens.
size_t plan_blocks(const gguf_model & file);

// A model that is open without its weights, all of it on the CPU: what the nodes are does not depend on the device.
class planned_model {
  public:
    // `plain`: experts as they are in the file, whatever this CPU's backend would make of them. Throws model.unsupported, model.load-failed.
    planned_model(const gguf_model & file, const json & inspection, const load_options & options, bool plain);

    // Of `tokens` tokens of one sequence, the logits of the last of which are wanted, whose KV cache is then full with `context` tokens. Throws model.load-failed.
    planned_graph graph(uint32_t tokens, uint32_t context);

    size_t                blocks() const { return block_count; }
    const expert_layout & layout() const { return experts; }
    bool                  observed() const { return options.telemetry; }  // its routing
    const llama_model *   get() const { return model.get(); }

  private:
    load_options                                  options;
    json                                          inspection;
    expert_layout                                 experts;
    size_t                                        block_count;
    llama_model_ptr                               model;
    std::unique_ptr<whole_experts>                whole;
    std::set<const ggml_tensor *>                 weights;
    llama_context_ptr                             context;  // of the last graph
};

}  // namespace moebius
