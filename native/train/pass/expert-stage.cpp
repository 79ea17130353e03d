#include "expert-stage.h"

#include "train/graph/ops-experts.h"
#include "train/graph/tape-job.h"

namespace moebius {

namespace {

// Tensors of a tape: what the ops emit for each expert in both directions, and some more.
size_t nodes_for(const expert_groups & groups) {
    return 1024 + 512 * groups.groups.size();
}

// Frozen matrices of a layer's experts with their adapters.
expert_ffn ffn_of(const layer_weights & weights, const adapter_tensors & adapters, bool trains) {
    const auto stack = [&](ggml_tensor * weight) {
        expert_matrices matrices;
        if (weight) {
            const lora_tensors lora = adapters.lora_of(weight);
            matrices.weight         = weight;
            matrices.lora_a         = lora.a;
            matrices.lora_b         = lora.b;
            matrices.scale          = lora.scale;
            matrices.trained        = trains;
        }
        return matrices;
    };
    return { stack(weights.gate), stack(weights.up), stack(weights.down) };
}

void add_to(std::vector<float> & sum, size_t offset, const std::vector<float> & values) {
    for (size_t i = 0; i < values.size(); i++) {
        sum[offset + i] += values[i];
    }
}

}  // namespace

expert_stage::expert_stage(ggml_backend_dev_t on, int threads, const base_shape & of, const base_weights & weights, const adapter_tensors & with)
    : device(on), runner(on, threads), shape(of), base(weights), adapters(with) {}

std::vector<float> expert_stage::forward(int64_t layer, const expert_inputs & inputs) {
    const expert_groups & groups = inputs.groups;
    tape_job              what(device, nodes_for(groups));
    const expert_ffn      ffn = ffn_of(base.layer(layer), adapters, false);
    const routing_inputs  routing(what.tape, groups);
    routing.fill(groups, what.writer());
    const expert_output made = train_experts(what.tape, train_value(what.floats(inputs.normed, shape.n_embd, groups.tokens)),
                                             train_value(what.floats(inputs.weights, 1, int64_t(inputs.weights.size()))), ffn, routing);
    what.tape.keep(made.sum.tensor);
    what.run(runner);
    return train_runner::read(made.sum.tensor);
}

expert_input_gradients expert_stage::backward(int64_t layer, const expert_inputs & inputs, const std::vector<float> & gradient, bool wants_inputs, adapter & of) {
    const expert_groups & groups = inputs.groups;
    tape_job              what(device, nodes_for(groups));
    train_tape &          tape = what.tape;
    const expert_ffn      ffn  = ffn_of(base.layer(layer), adapters, true);
    const routing_inputs  routing(tape, groups);
    routing.fill(groups, what.writer());
    const auto          value   = [&](ggml_tensor * input) { return wants_inputs ? tape.variable(input) : train_value(input); };
    const train_value   normed  = value(what.floats(inputs.normed, shape.n_embd, groups.tokens));
    const train_value   weights = value(what.floats(inputs.weights, 1, int64_t(inputs.weights.size())));
    const expert_output made    = train_experts(tape, normed, weights, ffn, routing);
    if (!made.sum.wanted()) {
        return {};
    }
    tape.add_gradient(made.sum, what.floats(gradient, shape.n_embd, groups.tokens));
    tape.backward();
    expert_input_gradients found;
    const auto             keep = [&](const train_value & of_value) { return tape.gradient(of_value) ? tape.keep(tape.gradient(of_value)) : nullptr; };
    ggml_tensor * const    of_normed = keep(normed), * const of_weights = keep(weights);
    for (const used_adapter & used : made.adapters) {
        keep(used.a);
        keep(used.b);
    }
    what.run(runner);
    for (const used_adapter & used : made.adapters) {
        const lora_tensors lora = adapters.lora_of(used.matrices->weight);
        for (const auto & [index, value_of] : { std::pair(lora.a_index, used.a), std::pair(lora.b_index, used.b) }) {
            if (ggml_tensor * const each = tape.gradient(value_of)) {
                add_to(of.parameters[index].gradient, size_t(used.expert) * size_t(ggml_nelements(each)), train_runner::read(each));
            }
        }
    }
    found.normed  = of_normed ? train_runner::read(of_normed) : found.normed;
    found.weights = of_weights ? train_runner::read(of_weights) : found.weights;
    return found;
}

}  // namespace moebius
