// The experts of a mixture of LoRA experts (MixLoRA) in a layer, by tapes of their own as expert-stage's: the host chooses between router and experts. All on the device that has the dense FFN
// which they share.
#pragma once

#include "activation-budget.h"
#include "mixture-tape.h"

#include <memory>

namespace moebius {

struct mixture_output {
    float_rows                    sum;   // of each token's experts, weighed: [tokens][n_embd]
    std::unique_ptr<mixture_tape> kept;  // activations for backward(); null: it computes them again
};

class mixture_stage {
  public:
    // All but threads outlive it.
    mixture_stage(ggml_backend_dev_t device, const train_threads & threads, int64_t layers, const base_weights & base, const adapter_tensors & adapters);

    // As expert_stage's.
    mixture_output         forward(int64_t layer, const expert_inputs & inputs, activation_budget * kept, bool wants_inputs);
    expert_input_gradients backward(int64_t layer, const expert_inputs & inputs, const std::unique_ptr<mixture_tape> & kept, const float_rows & gradient, bool wants_inputs, adapter & of);

  private:
    ggml_backend_dev_t        device;
    train_runner              runner;
    const base_weights &      base;
    const adapter_tensors &   adapters;
    std::vector<graph_memory> kept_memory;  // [layers]
};

}  // namespace moebius
