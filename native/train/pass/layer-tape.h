// The tape of a layer without its routed experts, forward and backward: it stops where the host chooses experts, and where those compute.
#pragma once

#include "expert-stage.h"
#include "layer-graph.h"
#include "routing-plan.h"

namespace moebius {

// Factors of the router's losses in the sum, each the mean over layers. 0: it is not computed backward.
struct router_loss_factors {
    float balance = 0;  // train_balance_loss
    float z       = 0;  // train_router_z_loss
};

// What tapes of layers are made of, and what runs them. All outlives them.
struct layer_tools {
    train_runner &          runner;
    const base_shape &      shape;
    const base_weights &    base;
    const adapter_tensors & adapters;
};

// What a tape of a layer is for.
struct layer_purpose {
    bool                gives       = true;   // its output is wanted
    bool                trains      = false;  // gradients are
    bool                wants_input = false;  // that of its input, too
    dropout_stream      dropped     = std::nullopt;
    router_loss_factors factors     = {};
    layer_routing       routing     = {};
};

// What experts get.
struct expert_entry {
    float_rows normed;   // [tokens][n_embd]
    float_rows weights;  // [assignments]
};

struct layer_gradients {
    float_rows input;                   // [tokens][n_embd]; none: nothing that is trained depends on it
    double             balance = 0, z = 0;  // losses of the router
};

class layer_tape {
  public:
    // batch and input [tokens][n_embd] are read and forgotten. Throws what train_runner does, as all below do.
    layer_tape(ggml_backend_dev_t device, const layer_tools & tools, const token_batch & batch, int64_t layer, const float_rows & input, const layer_purpose & purpose);

    bool is_routed() const { return graph.is_routed(); }
    bool trains() const { return purpose.trains; }

    // As tape_job's.
    void   lie_in(graph_memory & memory) { what.lie_in(memory); }
    size_t needed() { return what.needed(); }

    // Of a layer that is routed: by which experts are chosen [tokens][experts] (logits, if they are drawn), and, once they are, what they get. draws: if they are.
    float_rows   scores();
    expert_entry enter(const expert_groups & groups, const expert_draws & draws);

    // [tokens][n_embd]. of_experts: their sums, of a layer that is routed, behind enter().
    float_rows output(const float_rows & of_experts = {});

    // Whether experts are to give gradients of what they get.
    bool wants_experts() const { return of_normed || of_weights; }

    // gradient: of the layer's output. of_branch: of what its experts add to that, before residual_scale. of_experts: theirs; of a layer that is routed, behind enter(). Adds those of the adapter to `of`.
    layer_gradients backward(const float_rows & gradient, const float_rows & of_branch, const expert_input_gradients & of_experts, adapter & of);

  private:
    void          build_dense();
    void          build_routed();
    void          keep_output(std::initializer_list<const train_value *> parts);
    void          add_beside();
    void          add_router_losses();
    void          choose(const expert_groups & groups, const expert_draws & draws);
    void          differentiate();
    ggml_tensor * seed(const train_value & value);

    const layer_tools   tools;
    const layer_purpose purpose;
    const int64_t       tokens;
    tape_job            what;
    layer_graph         graph;
    attention_inputs    seen;
    train_value         x, behind, beside, weights;  // behind: attention, or of a layer that is not routed all of it; beside: routed experts, a shared one and what stands for others
    router_values       router;
    routing_inputs      routing;
    draw_inputs         drawn;
    train_value         balance, z;
    ggml_tensor *       load      = nullptr;  // of experts, for the balance loss
    bool                is_chosen = false;    // who the experts are
    // Gradients that are written in, and what comes out; null: not wanted.
    ggml_tensor *of_behind = nullptr, *of_beside = nullptr, *of_normed = nullptr, *of_weights = nullptr, *of_input = nullptr;
};

}  // namespace moebius
