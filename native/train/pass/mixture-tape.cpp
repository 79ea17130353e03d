#include "mixture-tape.h"

#include "train/graph/ops-mixture.h"

namespace moebius {

mixture_tape::mixture_tape(ggml_backend_dev_t device, const ffn_weights & of, const adapter_tensors & with, const expert_inputs & inputs, const expert_purpose & purpose)
    : adapters(with), what(device, expert_nodes(inputs.routes.groups)) {
    const expert_groups & groups = inputs.routes.groups;
    const int64_t         n_embd = int64_t(inputs.normed.size()) / groups.tokens;
    ffn = { with_adapters(of.gate, inputs, purpose.trains), with_adapters(of.up, inputs, purpose.trains), with_adapters(of.down, inputs, purpose.trains) };
    const routing_inputs routing(what.tape, groups);
    routing.fill(groups, what.writer());
    const auto value = [&](ggml_tensor * input) { return purpose.wants_inputs ? what.tape.variable(input) : train_value(input); };
    normed  = value(what.floats(inputs.normed, n_embd, groups.tokens));
    weights = value(what.floats(inputs.weights, 1, int64_t(inputs.weights.size())));
    made    = train_mixture(what.tape, normed, weights, ffn, routing);
    if (purpose.sums) {
        what.tape.keep(made.sum.tensor);
    }
    what.pause();
    of_sum = purpose.trains ? keep_gradients(what.tape, made, normed, weights) : nullptr;
}

// A matrix of the FFN with the experts' adapters.
expert_matrices mixture_tape::with_adapters(ggml_tensor * weight, const expert_inputs & inputs, bool trains) {
    const lora_tensors lora = adapters.lora_of(weight);
    expert_matrices    matrices;
    matrices.weight  = weight;
    matrices.lora_a  = lora.a;
    matrices.lora_b  = lora.b;
    matrices.scale   = lora.scale;
    matrices.trained = trains;
    matrices.dropout = dropout_input(what.tape, what.writer(), inputs.dropped, weight, lora.dropout, inputs.routes.groups.at);
    return matrices;
}

float_rows mixture_tape::sum(train_runner & runner) {
    what.run(runner, 0);
    return train_runner::read(made.sum.tensor);
}

expert_input_gradients mixture_tape::gradients(train_runner & runner, const float_rows & gradient, adapter & of) {
    if (!of_sum) {
        return {};
    }
    what.write(of_sum, gradient.data());
    what.run(runner);
    const auto read = [this](const train_value & value) { return what.tape.gradient(value) ? train_runner::read(what.tape.gradient(value)) : float_rows(); };
    for (const used_adapter & used : made.adapters) {
        const lora_tensors lora = adapters.lora_of(used.matrices->weight);
        for (const auto & [index, value] : { std::pair(lora.a_index, used.a), std::pair(lora.b_index, used.b) }) {
            const float_rows values = read(value);
            float * const    sum    = of.parameters[index].gradient.data() + size_t(used.expert) * values.size();
            for (size_t i = 0; i < values.size(); i++) {
                sum[i] += values[i];
            }
        }
    }
    return { read(normed), read(weights) };
}

}  // namespace moebius
