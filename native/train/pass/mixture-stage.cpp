#include "mixture-stage.h"

#include "train/graph/ops-mixture.h"
#include "train/graph/tape-job.h"

namespace moebius {

namespace {

size_t mixture_nodes(const expert_groups & groups) {
    return 1024 + 512 * groups.groups.size();
}

// A layer's dense FFN with the experts' adapters.
expert_ffn mixture_ffn(const ffn_weights & weights, const adapter_tensors & adapters, tape_job & what, const expert_inputs & inputs, bool trains) {
    const auto stack = [&](ggml_tensor * weight) {
        const lora_tensors lora = adapters.lora_of(weight);
        expert_matrices    matrices;
        matrices.weight  = weight;
        matrices.lora_a  = lora.a;
        matrices.lora_b  = lora.b;
        matrices.scale   = lora.scale;
        matrices.trained = trains;
        matrices.dropout = dropout_input(what.tape, what.writer(), inputs.dropped, weight, lora.dropout, inputs.routes.groups.at);
        return matrices;
    };
    return { stack(weights.gate), stack(weights.up), stack(weights.down) };
}

void add_expert_gradients(const train_tape & tape, const expert_output & made, const adapter_tensors & adapters, adapter & of) {
    for (const used_adapter & used : made.adapters) {
        const lora_tensors lora = adapters.lora_of(used.matrices->weight);
        for (const auto & [index, value] : { std::pair(lora.a_index, used.a), std::pair(lora.b_index, used.b) }) {
            if (ggml_tensor * const each = tape.gradient(value)) {
                const float_rows values = train_runner::read(each);
                float * const            sum    = of.parameters[index].gradient.data() + size_t(used.expert) * values.size();
                for (size_t i = 0; i < values.size(); i++) {
                    sum[i] += values[i];
                }
            }
        }
    }
}

}  // namespace

mixture_stage::mixture_stage(ggml_backend_dev_t on, const train_threads & threads, const base_shape & of, const base_weights & weights, const adapter_tensors & with)
    : device(on), runner(on, threads), shape(of), base(weights), adapters(with) {}

float_rows mixture_stage::forward(int64_t layer, const expert_inputs & inputs) {
    const expert_groups & groups = inputs.routes.groups;
    tape_job              what(device, mixture_nodes(groups));
    const expert_ffn      ffn = mixture_ffn(base.layer(layer).dense, adapters, what, inputs, false);
    const routing_inputs  routing(what.tape, groups);
    routing.fill(groups, what.writer());
    const expert_output made = train_mixture(what.tape, train_value(what.floats(inputs.normed, shape.n_embd, groups.tokens)),
                                             train_value(what.floats(inputs.weights, 1, int64_t(inputs.weights.size()))), ffn, routing);
    what.tape.keep(made.sum.tensor);
    what.run(runner);
    return train_runner::read(made.sum.tensor);
}

expert_input_gradients mixture_stage::backward(int64_t layer, const expert_inputs & inputs, const float_rows & gradient, bool wants_inputs, adapter & of) {
    const expert_groups & groups = inputs.routes.groups;
    tape_job              what(device, mixture_nodes(groups));
    train_tape &          tape = what.tape;
    const expert_ffn      ffn  = mixture_ffn(base.layer(layer).dense, adapters, what, inputs, true);
    const routing_inputs  routing(tape, groups);
    routing.fill(groups, what.writer());
    const auto          value   = [&](ggml_tensor * input) { return wants_inputs ? tape.variable(input) : train_value(input); };
    const train_value   normed  = value(what.floats(inputs.normed, shape.n_embd, groups.tokens));
    const train_value   weights = value(what.floats(inputs.weights, 1, int64_t(inputs.weights.size())));
    const expert_output made    = train_mixture(tape, normed, weights, ffn, routing);
    tape.add_gradient(made.sum, what.floats(gradient, shape.n_embd, groups.tokens));
    tape.backward();
    const auto          keep      = [&](const train_value & of_value) { return tape.gradient(of_value) ? tape.keep(tape.gradient(of_value)) : nullptr; };
    ggml_tensor * const of_normed = keep(normed), * const of_weights = keep(weights);
    for (const used_adapter & used : made.adapters) {
        keep(used.a);
        keep(used.b);
    }
    what.run(runner);
    add_expert_gradients(tape, made, adapters, of);
    expert_input_gradients found;
    found.normed  = of_normed ? train_runner::read(of_normed) : found.normed;
    found.weights = of_weights ? train_runner::read(of_weights) : found.weights;
    return found;
}

}  // namespace moebius
