// A forward pass through a whole model, and the backward pass that adds up gradients, layer by layer (README).
#pragma once

#include "expert-stage.h"
#include "layer-graph.h"
#include "mixture-stage.h"
#include "train/graph/tape-job.h"

#include <functional>

namespace moebius {

// Factors of the router's losses in the sum, each the mean over layers. 0: it is not computed backward.
struct router_loss_factors {
    float balance = 0;  // train_balance_loss
    float z       = 0;  // train_router_z_loss
};

struct pass_result {
    double                            loss = 0;      // sum over supervised rows of weight * loss
    double                            balance = 0, z = 0;  // of the router, mean over layers, without factors; of backward passes only
    std::vector<float>                row_losses;    // [rows], -log of the label's probability
    std::vector<std::vector<int64_t>> expert_tokens;  // [layers][experts]
};

// Where a pass computes.
struct pass_devices {
    ggml_backend_dev_t       main    = nullptr;  // all but routed experts
    int                      threads = 1;        // of CPU devices
    std::vector<copies_room> experts;            // none: all of them on `main`
};

// d loss / d row_losses [rows] of a batch whose loss is no weighted sum of them.
using row_weighting = std::function<std::vector<float>(const std::vector<float> & row_losses)>;

class train_pass {
  public:
    // Reads the base. All but where outlive it. Throws what base_weights, expert_stage and adapter_tensors do.
    train_pass(const gguf_model & file, const base_shape & shape, const adapter & of, const pass_devices & where);

    // New values of the same adapter.
    void write(const adapter & of);

    // Of routed experts; behind a step, before write().
    void                 follow_load() { experts.follow_load(); }
    expert_copies_report report() { return experts.report(); }

    // Losses alone. Throws user_error model.does-not-fit, device.lost, request.invalid (a batch that contradicts itself).
    // is_adapted: else of the base alone.
    pass_result forward(const token_batch & batch, bool is_adapted = true);

    // The same with dropout, and adds gradients of loss + factors to `of`, whose values were written. stream: where what is drawn by chance begins.
    // weigh: asked for the weights of rows in place of the batch's, at the cost of the head's forward pass once more.
    pass_result forward_backward(const token_batch & batch, const router_loss_factors & factors, adapter & of, uint64_t stream = 0, const row_weighting & weigh = {});

  private:
    using rows = std::vector<float>;  // [tokens][n_embd]

    // What a forward pass leaves for the backward pass.
    struct layer_state {
        rows                 input;
        std::vector<int32_t> ids;  // [tokens][experts_used]; none of a layer that is not routed
    };
    struct forward_mode {
        bool           is_adapted = true;
        dropout_stream dropped    = std::nullopt;
    };
    struct router_loss_values {
        train_value balance, z;
    };

    rows   embedded(const token_batch & batch);
    rows   through_layer(const token_batch & batch, int64_t layer, layer_state & state, const forward_mode & mode);
    rows   loss_of(const token_batch & batch, const rows & hidden, bool backward, pass_result & result);
    rows   back_through_layer(const token_batch & batch, int64_t layer, const layer_state & state, const rows & gradient, const router_loss_factors & factors, adapter & of, uint64_t stream,
                              pass_result & result);
    rows   back_through_dense(const token_batch & batch, int64_t layer, const rows & input, const rows & gradient, adapter & of, uint64_t stream);
    rows   behind_experts(int64_t layer, const std::vector<int32_t> & ids, const rows & behind, const rows & normed, const rows & probabilities, const forward_mode & mode);
    void   check(const token_batch & batch) const;
    bool   trains_below(const adapter & of, int64_t layer) const;
    router_loss_values       router_losses(tape_job & what, const router_values & router, const std::vector<int64_t> & expert_tokens, int64_t tokens) const;
    void                     add_gradients(tape_job & what, const router_loss_values & losses, const router_loss_factors & factors) const;
    static ggml_tensor *     keep_gradients(train_tape & tape, const layer_graph & graph, const train_value & x);
    static void              add_up(const train_tape & tape, const layer_graph & graph, adapter & of);
    std::vector<layer_state> forward_layers(const token_batch & batch, rows & hidden, pass_result & result, const forward_mode & mode);

    ggml_backend_dev_t device;
    train_runner       runner;
    const base_shape   shape;  // with the experts of a mixture
    base_weights       base;
    adapter_tensors    adapters, no_adapters;
    expert_stage       experts;
    mixture_stage      mixture;  // in its place, if the adapter is one
};

}  // namespace moebius
