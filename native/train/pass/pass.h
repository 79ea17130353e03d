// A forward pass through a whole model, and the backward pass that adds up gradients, layer by layer (README).
#pragma once

#include "layer-tape.h"
#include "mixture-stage.h"

#include <functional>
#include <memory>
#include <optional>

namespace moebius {

struct pass_result {
    double                            loss = 0;      // sum over supervised rows of weight * loss
    double                            balance = 0, z = 0;  // of the router, mean over layers, without factors; of backward passes only
    std::vector<float>                row_losses;    // [rows], -log of the label's probability
    std::vector<std::vector<int64_t>> expert_tokens;  // [layers][experts]
    std::vector<std::vector<int64_t>> learnt_tokens;  // the same, of those that the loss depends on
    std::vector<std::vector<double>>  expert_weights;  // the same: sums of what they were weighed with
    int64_t                           kept_layers = 0;  // whose activations were kept for the backward pass
    uint64_t                          kept_bytes  = 0;  // that they took
    std::vector<double>               forward_seconds, backward_seconds;  // [layers]
};

// Where a pass computes.
struct pass_devices {
    ggml_backend_dev_t       main    = nullptr;  // all but routed experts
    int                      threads = 1;        // of CPU devices
    std::vector<copies_room> experts;            // none: all of them on `main`
    // Most that a batch's activations may take between forward and backward pass; those of layers beyond it are computed again (checkpointing, arXiv 1604.06174). Unless said, half of the RAM
    // that is free once the base is there and the reserved bytes are left to others.
    std::optional<uint64_t>  activation_bytes;
    uint64_t                 reserved_bytes = 0;
};

// d loss / d row_losses [rows] of a batch whose loss is no weighted sum of them.
using row_weighting = std::function<std::vector<float>(const std::vector<float> & row_losses)>;

class train_pass {
  public:
    // Reads the base. All but where outlive it. Throws what base_weights, expert_stage and adapter_tensors do.
    train_pass(const gguf_model & file, const base_shape & shape, const adapter & of, const pass_devices & where);
    ~train_pass() { release_spare_memory(); }

    // New values of the same adapter.
    void write(const adapter & of);

    const base_shape & computed_shape() const { return shape; }

    // Of routed experts; behind a step, before write().
    void                 follow_load() { experts.follow_load(); }
    expert_copies_report report() { return experts.report(); }

    // Losses alone. Throws user_error model.does-not-fit, device.lost, request.invalid (a batch that contradicts itself).
    // is_adapted: else of the base alone. experts_used: [layers] by a token; none: as the base has it.
    pass_result forward(const token_batch & batch, bool is_adapted = true, const std::vector<int64_t> & experts_used = {});

    // The same with dropout, and adds gradients of loss + factors to `of`, whose values were written. stream: where what is drawn by chance begins.
    // weigh: asked for the weights of rows in place of the batch's, at the cost of the head's forward pass once more.
    pass_result forward_backward(const token_batch & batch, const router_loss_factors & factors, adapter & of, uint64_t stream = 0, const row_weighting & weigh = {}, const routing_plan & plan = {});

  private:
    using rows = float_rows;  // [tokens][n_embd]

    // What a forward pass leaves for the backward pass.
    struct layer_state {
        rows                          input;
        expert_draws                  chosen;        // by tokens, drawn or not (then only ids); none of a layer that is not routed
        std::vector<double>           weights;       // [experts] what they were weighed with, of all tokens
        std::unique_ptr<layer_tape>   kept;          // null: it is built again
        std::unique_ptr<expert_tape>  kept_experts;  // null: as above
        std::unique_ptr<mixture_tape> kept_mixture;  // the same
    };
    // What is done with a batch.
    struct batch_purpose {
        bool                is_adapted = true;
        const adapter *     trained    = nullptr;  // null: no gradients are wanted
        dropout_stream      dropped    = std::nullopt;
        router_loss_factors factors    = {};
        routing_plan        plan       = {};
    };

    rows                        embedded(const token_batch & batch, bool is_adapted);
    void                        back_through_embedding(const token_batch & batch, const rows & gradient, adapter & of) const;
    std::unique_ptr<layer_tape> tape_of(const token_batch & batch, int64_t layer, const rows & input, const batch_purpose & purpose, bool gives, bool trains);
    std::unique_ptr<layer_tape> forward_tape(const token_batch & batch, int64_t layer, layer_state & state, const batch_purpose & purpose, activation_budget & budget);
    rows                        through_layer(const token_batch & batch, int64_t layer, layer_state & state, const batch_purpose & purpose, activation_budget & budget);
    void                        loss_of(const token_batch & batch, const rows & hidden, bool is_adapted, pass_result & result);
    rows                        back_through_loss(const token_batch & batch, const rows & hidden, adapter & of, pass_result & result);
    rows                        back_through_layer(const token_batch & batch, int64_t layer, layer_state & state, const rows & gradient, const batch_purpose & purpose, adapter & of, pass_result & result);
    expert_input_gradients      back_through_experts(int64_t layer, layer_state & state, layer_tape & tape, const rows & of_branch, const batch_purpose & purpose, adapter & of);
    layer_routing               routing_of(int64_t layer, const batch_purpose & purpose) const;
    expert_draws                choice(int64_t layer, const float_rows & scores, const batch_purpose & purpose) const;
    void                        check(const token_batch & batch) const;
    bool                        trains_below(const adapter & of, int64_t layer) const;
    std::vector<layer_state>    forward_layers(const token_batch & batch, rows & hidden, pass_result & result, const batch_purpose & purpose);

    ggml_backend_dev_t  device;
    const train_threads threads;  // of all stages: they take turns
    train_runner        runner;
    const base_shape   shape;  // with the experts of a mixture
    base_weights       base;
    adapter_tensors    adapters, no_adapters;
    expert_stage       experts;
    mixture_stage      mixture;  // in its place, if the adapter is one
    const uint64_t            activation_bytes;
    std::vector<graph_memory> kept_memory;  // [layers]
};

}  // namespace moebius
