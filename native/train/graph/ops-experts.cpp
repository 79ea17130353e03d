#include "ops-experts.h"

#include "nodes.h"
#include "ops-elementwise.h"

namespace moebius {

namespace {

// Matrix i of a stack, a view that mul_mat takes. Not mul_mat_id on the stack: it has no backward (README).
ggml_tensor * matrix_of(train_tape & tape, ggml_tensor * stack, int32_t i) {
    return ggml_view_2d(tape.context(), stack, stack->ne[0], stack->ne[1], stack->nb[1], size_t(i) * stack->nb[2]);
}

train_value expert_linear(train_tape & tape, const expert_matrices & matrices, const expert_groups::group & group, const train_value & x, std::vector<used_adapter> & adapters) {
    ggml_tensor * weight = matrix_of(tape, matrices.weight, group.expert);
    if (!matrices.lora_a || !(matrices.adapted.empty() || matrices.adapted[size_t(group.expert)])) {
        return train_linear(tape, weight, x);
    }
    const auto adapter = [&](ggml_tensor * stack) {
        ggml_tensor * mine = matrix_of(tape, stack, group.expert);
        return matrices.trained ? tape.variable(mine) : train_value(mine);
    };
    lora_weights lora{ adapter(matrices.lora_a), adapter(matrices.lora_b), matrices.scale, nullptr };
    if (matrices.dropout) {
        lora.dropout = columns_of(tape, matrices.dropout, group.begin, group.count);
    }
    adapters.push_back({ &matrices, group.expert, lora.a, lora.b });
    return train_lora(tape, weight, lora, x);
}

}  // namespace

expert_output train_experts(train_tape & tape, const train_value & x, const train_value & weights, const expert_ffn & ffn, const routing_inputs & routing) {
    const auto               inputs = train_split(tape, train_gather(tape, x, routing.tokens), routing.counts);
    const auto               parts  = train_split(tape, weights, routing.counts);
    std::vector<train_value> outputs;
    expert_output            result;
    for (size_t i = 0; i < routing.groups.size(); i++) {
        const expert_groups::group & group  = routing.groups[i];
        const auto                   linear = [&](const expert_matrices & matrices, const train_value & in) { return expert_linear(tape, matrices, group, in, result.adapters); };
        train_value                  hidden = linear(ffn.gate, inputs[i]);
        hidden = ffn.up.weight ? train_swiglu(tape, hidden, linear(ffn.up, inputs[i])) : train_swiglu_fused(tape, hidden);
        // weighed before down, which is linear: n_ff numbers a token to multiply and to keep instead of n_embd
        outputs.push_back(linear(ffn.down, train_mul(tape, hidden, parts[i])));
    }
    result.sum = train_combine(tape, train_join(tape, outputs), routing.tokens);
    return result;
}

}  // namespace moebius
