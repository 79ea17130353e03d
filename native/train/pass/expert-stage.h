// The routed experts of a layer, computed apart from the rest of it, by tapes of their own, on the devices that have copies of them.
//
// Copies follow the load as in SwiftMoE (SYMI, arXiv 2504.19925): behind every step each expert gets copies in proportion to the tokens that it had in that step (experts/policy, the code
// that places experts when a model is used), and the update writes the new numbers of adapters where the next step wants them. Optimiser states are the host's and go nowhere. Unlike there the
// matrices themselves are frozen, so those of a new copy have to be read.
#pragma once

#include "activation-budget.h"
#include "expert-tape.h"
#include "experts/policy/replica-controller.h"

namespace moebius {

struct expert_outputs {
    float_rows                   sum;   // of each token's experts, weighed: [tokens][n_embd]
    float_rows                   by_expert;  // [experts][n_embd], not weighed, added up; if wanted
    std::unique_ptr<expert_tape> kept;  // activations for backward(); null: it computes them again
};

// What a step used, for whoever looks.
struct expert_copies_report {
    std::vector<std::vector<int64_t>> copies;          // [layers][experts]
    std::vector<int64_t>              assignments;     // [devices], in forward passes
    uint64_t                          frozen_bytes = 0, adapter_bytes = 0;  // written to devices
};

class expert_stage {
  public:
    // rooms: of the devices, at most devices_most, whose slots together are at least the experts; none for a model without experts. All but rooms and threads outlive it.
    // Throws what expert_copies and check_rig do.
    expert_stage(const gguf_model & file, const base_shape & shape, const adapter & of, const std::vector<copies_room> & rooms, const train_threads & threads);

    // next: the layer whose turn it is afterwards, -1: nobody knows. kept: activations are kept there if they have room, for gradients of the inputs if those are wanted; null: none are.
    // They are of the layer's latest call, until write(). Throws what train_runner and expert_copies do.
    expert_outputs forward(int64_t layer, int64_t next, const expert_inputs & inputs, activation_budget * kept, bool wants_inputs);

    // gradient: of the sum. Adds those of adapters to `of`. wants_inputs: else it gives nothing.
    expert_input_gradients backward(int64_t layer, int64_t next, const expert_inputs & inputs, const std::unique_ptr<expert_tape> & kept, const float_rows & gradient, bool wants_inputs,
                                    adapter & of);

    // Values of adapters to where they are used.
    void write(const adapter & of);

    // Behind a step: copies for the next one. Needs write().
    void follow_load();

    // Since the last call.
    expert_copies_report report();

  private:
    struct worker {
        std::unique_ptr<expert_copies> copies;
        train_runner                   runner;
        int64_t                        slots       = 0;
        int64_t                        assignments = 0;  // since the last step, forward
        double                         seconds     = 0;  // of them
    };

    std::vector<expert_share> shares_of(int64_t layer, const batch_routes & routes) const;
    std::unique_ptr<expert_tape> kept_tape(int64_t layer, int64_t next, const expert_share & share, const expert_inputs & inputs, activation_budget & budget, bool wants_inputs);
    expert_sums               forward_on(worker & on, int64_t layer, int64_t next, const expert_share & share, const expert_inputs & inputs) const;
    share_gradients           backward_on(worker & on, int64_t layer, int64_t next, const expert_share & share, const expert_inputs & inputs, const float_rows & gradient, bool wants_inputs) const;
    layer_rig                 rig() const;
    void                      place(int64_t layer);
    void                      measure_speeds();

    const base_shape &              shape;
    std::vector<worker>             workers;
    std::vector<double>             speeds;  // [workers], assignments a second, once they are measured
    bool                            is_measured = false;
    std::vector<replica_controller> placements;   // [layers]
    std::vector<graph_memory>       kept_memory;  // [layers]
    copies_traffic                  reported;
    std::vector<int64_t>            computed;  // [workers], since the last report
};

}  // namespace moebius
