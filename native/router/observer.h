// Sees what the router of every MoE layer chose in each llama_decode, at (almost) no cost.
//
// llama.cpp calls the `backend_apply` hook of a backend sampler with the whole compute graph whenever it builds one, the
// reserve passes included. The observer hangs such a sampler on a sequence id that no token ever has, samples nothing,
// and appends a VIEW of each layer's `ffn_moe_topk` (expert ids) and of its final router weights to the end of the graph.
// A view computes nothing on any backend, starts no graph split and is no use of a tensor that would stop the fused
// top-k kernels (those allow uses of exactly these two results); but ggml's allocator keeps the memory behind a view
// until the graph has ended. So after the decode ids and weights lie there to be read.
//
// Contrast `cb_eval`: it ends a graph segment and synchronises at every observed node.
//
// Owned by the decode thread, but constructed before and destroyed after its llama_context.
#pragma once

#include "shape.h"

#include <llama.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace moebius {

// What the router chose for the tokens of one ubatch.
struct observed_routes {
    uint32_t              tokens   = 0;
    uint32_t              used_max = 0;  // shape.expert_used_count
    std::vector<uint16_t> experts;       // [token][row][k]; not_computed where llama.cpp skipped the token in that layer
    std::vector<float>    weights;       // the same shape; 0 where not computed

    static constexpr uint16_t not_computed = 0xFFFF;
};

class router_observer {
  public:
    explicit router_observer(router_shape shape);
    ~router_observer();
    router_observer(const router_observer &)             = delete;
    router_observer & operator=(const router_observer &) = delete;

    // Adds the hook. `parameters` is used for one llama_init_from_model while this object lives.
    void attach(llama_context_params & parameters);

    // Rows that the graph of the context really shows; false: the architecture hides its router.
    bool sees_router() const;

    // Reads the routes of the last llama_decode of `context`. It must have been one ubatch with its tokens in batch order.
    // outputs: batch indices of the tokens whose logits were asked, ascending. Waits for the computation to end.
    // The reference stays valid until the next call.
    const observed_routes & read(llama_context * context, uint32_t token_count, const std::vector<uint32_t> & outputs);

    const router_shape & shape() const;

    struct state;  // of the implementation

  private:
    std::unique_ptr<state> self;
};

}  // namespace moebius
