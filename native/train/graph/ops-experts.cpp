#include "ops-experts.h"

#include "nodes.h"
#include "ops-elementwise.h"
#include "ops-grouped.h"

namespace moebius {

namespace {

// Matrix i of a stack, a view that mul_mat takes. Not mul_mat_id on the stack: it has no backward (README).
ggml_tensor * matrix_of(train_tape & tape, ggml_tensor * stack, int32_t i) {
    return ggml_view_2d(tape.context(), stack, stack->ne[0], stack->ne[1], stack->nb[1], size_t(i) * stack->nb[2]);
}

// -1: it has no adapter
int32_t adapter_place(const expert_matrices & matrices, int32_t expert) {
    return !matrices.lora_a ? -1 : matrices.places.empty() ? expert : matrices.places[size_t(expert)];
}

used_adapter adapter_of(train_tape & tape, const expert_matrices & matrices, int32_t expert) {
    const auto matrix = [&](ggml_tensor * stack) {
        ggml_tensor * mine = matrix_of(tape, stack, adapter_place(matrices, expert));
        return matrices.trained ? tape.variable(mine) : train_value(mine);
    };
    return { &matrices, expert, matrix(matrices.lora_a), matrix(matrices.lora_b) };
}

train_value expert_linear(train_tape & tape, const expert_matrices & matrices, const expert_groups::group & group, const train_value & x, std::vector<used_adapter> & adapters) {
    ggml_tensor * weight = matrix_of(tape, matrices.weight, group.expert);
    return adapter_place(matrices, group.expert) >= 0 ? train_lora(tape, weight, expert_lora(tape, matrices, group, adapters), x) : train_linear(tape, weight, x);
}

// [n, columns] -> [n, 1]
ggml_tensor * sum_of_columns(train_tape & tape, ggml_tensor * x) {
    ggml_tensor * const rows = ggml_cont(tape.context(), ggml_transpose(tape.context(), x));
    return ggml_reshape_2d(tape.context(), ggml_sum_rows(tape.context(), rows), x->ne[0], 1);
}

// As a constant: nothing is trained, nothing left out.
expert_matrices frozen(expert_matrices matrices) {
    matrices.trained = false;
    matrices.dropout = nullptr;
    return matrices;
}

// Every expert by itself. by_expert: as expert_output's of each; null: not wanted
train_value experts_apart(train_tape & tape, const train_value & in, const train_value & weights, const expert_ffn & ffn, const routing_inputs & routing, std::vector<used_adapter> & adapters,
                          std::vector<ggml_tensor *> * by_expert) {
    const auto               inputs = train_split(tape, in, routing.counts);
    const auto               parts  = train_split(tape, weights, routing.counts);
    std::vector<train_value> outputs;
    for (size_t i = 0; i < routing.groups.size(); i++) {
        const expert_groups::group & group  = routing.groups[i];
        const auto                   linear = [&](const expert_matrices & matrices, const train_value & x) { return expert_linear(tape, matrices, group, x, adapters); };
        train_value                  hidden = linear(ffn.gate, inputs[i]);
        hidden = ffn.up.weight ? train_swiglu(tape, hidden, linear(ffn.up, inputs[i])) : train_swiglu_fused(tape, hidden);
        if (by_expert) {
            std::vector<used_adapter> unused;
            by_expert->push_back(expert_linear(tape, frozen(ffn.down), group, train_value(sum_of_columns(tape, hidden.tensor)), unused).tensor);
        }
        outputs.push_back(linear(ffn.down, train_mul(tape, hidden, parts[i])));
    }
    return train_join(tape, outputs);
}

grouped_matrix grouped(train_tape & tape, const expert_matrices & matrices, const routing_inputs & routing, const train_value & x, std::vector<used_adapter> & adapters) {
    grouped_matrix made;
    made.weight = matrices.weight;
    made.lora_a = matrices.lora_a;
    made.lora_b = matrices.lora_b;
    made.scale  = matrices.scale;
    for (const expert_groups::group & group : routing.groups) {
        used_adapter mine;
        made.places.push_back(adapter_place(matrices, group.expert));
        if (made.places.back() >= 0) {
            mine = adapter_of(tape, matrices, group.expert);
            adapters.push_back(mine);
        }
        made.a.push_back(mine.a);
        made.b.push_back(mine.b);
    }
    if (matrices.lora_a && matrices.dropout) {
        made.input = train_mul(tape, x, train_value(matrices.dropout));
    }
    return made;
}

// hidden [n_ff, assignments] -> [n_embd, groups], as expert_output's
ggml_tensor * outputs_by_expert(train_tape & tape, ggml_tensor * hidden, const expert_matrices & down, const routing_inputs & routing) {
    std::vector<ggml_tensor *> sums;
    std::vector<row_group>     groups;
    std::vector<used_adapter>  unused;
    for (const expert_groups::group & group : routing.groups) {
        groups.push_back({ group.expert, int64_t(sums.size()), 1 });
        sums.push_back(sum_of_columns(tape, columns_of(tape, hidden, group.begin, group.count)));
    }
    const train_value     all(joined_columns(tape, sums, std::vector<int64_t>(sums.size(), 1)));
    const expert_matrices matrices = frozen(down);
    return train_grouped_linear(tape, all, groups, { grouped(tape, matrices, routing, all, unused) })[0].tensor;
}

// All experts in one node for each of their matrices: the CPU's products take groups. by_expert: as above, in one
train_value experts_together(train_tape & tape, const train_value & in, const train_value & weights, const expert_ffn & ffn, const routing_inputs & routing, std::vector<used_adapter> & adapters,
                             std::vector<ggml_tensor *> * by_expert) {
    std::vector<row_group> groups;
    for (const expert_groups::group & group : routing.groups) {
        groups.push_back({ group.expert, group.begin, group.count });
    }
    std::vector<grouped_matrix> first{ grouped(tape, ffn.gate, routing, in, adapters) };
    if (ffn.up.weight) {
        first.push_back(grouped(tape, ffn.up, routing, in, adapters));
    }
    const std::vector<train_value> both   = train_grouped_linear(tape, in, groups, first);
    const auto                     hidden = [&](const train_value & of) { return ffn.up.weight ? train_swiglu(tape, both[0], both[1], of) : train_swiglu_fused(tape, both[0], of); };
    if (by_expert) {
        by_expert->push_back(outputs_by_expert(tape, hidden({}).tensor, ffn.down, routing));
    }
    const train_value              weighed = hidden(weights);
    return train_grouped_linear(tape, weighed, groups, { grouped(tape, ffn.down, routing, weighed, adapters) })[0];
}

}  // namespace

lora_weights expert_lora(train_tape & tape, const expert_matrices & matrices, const expert_groups::group & group, std::vector<used_adapter> & adapters) {
    adapters.push_back(adapter_of(tape, matrices, group.expert));
    lora_weights lora{ adapters.back().a, adapters.back().b, matrices.scale, nullptr };
    if (matrices.dropout) {
        lora.dropout = columns_of(tape, matrices.dropout, group.begin, group.count);
    }
    return lora;
}

// Hidden numbers are weighed before `down`, which is linear: n_ff numbers a token to multiply and to keep instead of n_embd.
expert_output train_experts(train_tape & tape, const train_value & x, const train_value & weights, const expert_ffn & ffn, const routing_inputs & routing, bool wants_by_expert) {
    expert_output              result;
    std::vector<ggml_tensor *> by_expert;
    const train_value          in      = train_gather(tape, x, routing.tokens);
    const auto                 through = tape.on_cpu() ? experts_together : experts_apart;
    result.sum = train_combine(tape, through(tape, in, weights, ffn, routing, result.adapters, wants_by_expert ? &by_expert : nullptr), routing.tokens);
    if (wants_by_expert) {
        result.by_expert = tape.on_cpu() ? by_expert[0] : joined_columns(tape, by_expert, std::vector<int64_t>(by_expert.size(), 1));
        tape.emit(result.by_expert);
    }
    return result;
}

}  // namespace moebius
