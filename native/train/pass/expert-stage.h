// The routed experts of a layer, computed apart from the rest of it: by tapes of their own, which have what the host gathered for them.
#pragma once

#include "train/adapter/adapter-tensors.h"
#include "train/base/base-weights.h"
#include "train/graph/expert-groups.h"

namespace moebius {

struct expert_inputs {
    const expert_groups &      groups;
    const std::vector<float> & normed;   // [tokens][n_embd]
    const std::vector<float> & weights;  // [assignments]
};

struct expert_input_gradients {
    std::vector<float> normed, weights;
};

class expert_stage {
  public:
    // All outlive it. threads: of a CPU device.
    expert_stage(ggml_backend_dev_t device, int threads, const base_shape & shape, const base_weights & base, const adapter_tensors & adapters);

    // The sum of each token's experts, weighed: [tokens][n_embd]. Throws what train_runner does.
    std::vector<float> forward(int64_t layer, const expert_inputs & inputs);

    // gradient: of that sum. Adds those of adapters to `of`. wants_inputs: else it gives nothing.
    expert_input_gradients backward(int64_t layer, const expert_inputs & inputs, const std::vector<float> & gradient, bool wants_inputs, adapter & of);

  private:
    ggml_backend_dev_t      device;
    train_runner            runner;
    const base_shape &      shape;
    const base_weights &    base;
    const adapter_tensors & adapters;
};

}  // namespace moebius
