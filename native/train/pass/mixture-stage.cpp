#include "mixture-stage.h"

namespace moebius {

mixture_stage::mixture_stage(ggml_backend_dev_t on, const train_threads & threads, int64_t layers, const base_weights & weights, const adapter_tensors & with)
    : device(on), runner(on, threads), base(weights), adapters(with) {
    for (int64_t layer = 0; layer < layers; layer++) {
        kept_memory.emplace_back(device);
    }
}

mixture_output mixture_stage::forward(int64_t layer, const expert_inputs & inputs, activation_budget * budget, bool wants_inputs) {
    if (budget && budget->is_open()) {
        auto both = std::make_unique<mixture_tape>(device, base.layer(layer).dense, adapters, inputs, expert_purpose{ true, true, wants_inputs });
        if (budget->take(*both, kept_memory[size_t(layer)])) {
            float_rows sum = both->sum(runner);
            return { std::move(sum), std::move(both) };
        }
    }
    return { mixture_tape(device, base.layer(layer).dense, adapters, inputs, { true, false, false }).sum(runner), nullptr };
}

expert_input_gradients mixture_stage::backward(int64_t layer, const expert_inputs & inputs, const std::unique_ptr<mixture_tape> & kept, const float_rows & gradient, bool wants_inputs,
                                               adapter & of) {
    return kept ? kept->gradients(runner, gradient, of) : mixture_tape(device, base.layer(layer).dense, adapters, inputs, { false, true, wants_inputs }).gradients(runner, gradient, of);
}

}  // namespace moebius
