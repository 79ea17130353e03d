// A tape of the experts of a mixture of LoRA experts in a layer: their sum, and its gradients.
#pragma once

#include "expert-tape.h"
#include "train/adapter/adapter-tensors.h"
#include "train/base/base-weights.h"

namespace moebius {

class mixture_tape {
  public:
    // weights: the FFN that the experts share, on `device`; `adapters` outlive it; inputs are read and forgotten.
    mixture_tape(ggml_backend_dev_t device, const ffn_weights & weights, const adapter_tensors & adapters, const expert_inputs & inputs, const expert_purpose & purpose);

    // As tape_job's.
    void   lie_in(graph_memory & memory) { what.lie_in(memory); }
    size_t needed() { return what.needed(); }

    // Of each token's experts, weighed: [tokens][n_embd]. Throws what train_runner does.
    float_rows sum(train_runner & runner);

    // gradient: of that sum. Adds those of adapters to `of`. Throws as above.
    expert_input_gradients gradients(train_runner & runner, const float_rows & gradient, adapter & of);

  private:
    expert_matrices with_adapters(ggml_tensor * weight, const expert_inputs & inputs, bool trains);

    const adapter_tensors & adapters;
    tape_job                what;
    expert_ffn              ffn;
    expert_output           made;
    train_value             normed, weights;
    ggml_tensor *           of_sum = nullptr;  // its gradient; null: nothing is trained
};

}  // namespace moebius
