// The experts of a mixture of LoRA experts (MixLoRA) in a layer, by tapes of their own as expert-stage's: the host chooses between router and experts. All on the device that has the dense FFN
// which they share.
#pragma once

#include "expert-stage.h"
#include "train/adapter/adapter-tensors.h"
#include "train/base/base-weights.h"

namespace moebius {

class mixture_stage {
  public:
    // All but threads outlive it. shape: with the mixture's experts.
    mixture_stage(ggml_backend_dev_t device, const train_threads & threads, const base_shape & shape, const base_weights & base, const adapter_tensors & adapters);

    // As expert_stage's.
    float_rows     forward(int64_t layer, const expert_inputs & inputs);
    expert_input_gradients backward(int64_t layer, const expert_inputs & inputs, const float_rows & gradient, bool wants_inputs, adapter & of);

  private:
    ggml_backend_dev_t      device;
    train_runner            runner;
    const base_shape &      shape;
    const base_weights &    base;
    const adapter_tensors & adapters;
};

}  // namespace moebius
