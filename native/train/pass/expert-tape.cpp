#include "expert-tape.h"

#include <algorithm>

namespace moebius {

size_t expert_nodes(const expert_groups & groups) {
    return 1024 + 512 * groups.groups.size();
}

ggml_tensor * keep_gradients(train_tape & tape, const expert_output & of, const train_value & normed, const train_value & weights) {
    if (!of.sum.wanted()) {
        return nullptr;
    }
    ggml_tensor * const of_sum = tape.input(GGML_TYPE_F32, of.sum.tensor->ne[0], of.sum.tensor->ne[1]);
    tape.add_gradient(of.sum, of_sum);
    tape.backward();
    const auto keep = [&](const train_value & value) {
        if (ggml_tensor * const found = tape.gradient(value)) {
            tape.keep(found);
        }
    };
    keep(normed);
    keep(weights);
    for (const used_adapter & used : of.adapters) {
        keep(used.a);
        keep(used.b);
    }
    return of_sum;
}

bool are_all(const std::vector<int32_t> & rows, int64_t n, size_t size) {
    return rows.size() * size_t(n) == size && std::is_sorted(rows.begin(), rows.end());
}

const float_rows & rows_of(const float_rows & all, const std::vector<int32_t> & rows, int64_t n, float_rows & some) {
    if (are_all(rows, n, all.size())) {
        return all;
    }
    some.resize(rows.size() * size_t(n));
    for (size_t i = 0; i < rows.size(); i++) {
        std::copy_n(all.begin() + rows[i] * n, n, some.begin() + int64_t(i) * n);
    }
    return some;
}

expert_tape::expert_tape(const expert_copies & of, const placed_experts & here, int64_t its_layer, const expert_share & share, const expert_inputs & inputs, const expert_purpose & purpose)
    : copies(of), layer(its_layer), experts(here.experts), what(of.device(), expert_nodes(share.groups)), ffn(here.ffn) {
    const int64_t        n_embd = int64_t(inputs.normed.size()) / inputs.routes.groups.tokens;
    const routing_inputs routing(what.tape, share.groups);
    routing.fill(share.groups, what.writer());
    set_adapters(share, inputs);
    const auto value = [&](ggml_tensor * input) { return purpose.wants_inputs ? what.tape.variable(input) : train_value(input); };
    float_rows some, its_weights;
    normed  = value(what.floats(rows_of(inputs.normed, share.tokens, n_embd, some), n_embd, share.groups.tokens));
    weights = value(what.floats(rows_of(inputs.weights, share.assignments, 1, its_weights), 1, int64_t(share.assignments.size())));
    made    = train_experts(what.tape, normed, weights, ffn, routing, purpose.sums && inputs.wants_by_expert);
    if (purpose.sums) {
        what.tape.keep(made.sum.tensor);
    }
    if (made.by_expert) {
        what.tape.keep(made.by_expert);
    }
    what.pause();
    of_sum = purpose.trains ? keep_gradients(what.tape, made, normed, weights) : nullptr;
}

// None, or with dropout: masks are of the batch's tokens and experts, whichever device computes them.
void expert_tape::set_adapters(const expert_share & share, const expert_inputs & inputs) {
    std::vector<int32_t> places;
    for (const int32_t assignment : share.assignments) {
        places.push_back(inputs.routes.groups.at[size_t(assignment)]);
    }
    size_t part = 0;
    for (expert_matrices * each : { &ffn.gate, &ffn.up, &ffn.down }) {
        if (!inputs.is_adapted) {
            each->lora_a = each->lora_b = nullptr;
        } else if (each->lora_a) {
            each->dropout = dropout_input(what.tape, what.writer(), inputs.dropped, each->weight, copies.dropout_of(layer, part), places);
        }
        part++;
    }
}

expert_sums expert_tape::sums(train_runner & runner) {
    what.run(runner, 0);
    return { train_runner::read(made.sum.tensor), made.by_expert ? train_runner::read(made.by_expert) : float_rows() };
}

share_gradients expert_tape::gradients(train_runner & runner, const float_rows & gradient) {
    share_gradients found;
    if (!of_sum) {
        return found;
    }
    what.write(of_sum, gradient.data());
    what.run(runner);
    const auto read = [this](const train_value & of) { return what.tape.gradient(of) ? train_runner::read(what.tape.gradient(of)) : float_rows(); };
    found.normed    = read(normed);
    found.weights   = read(weights);
    for (const used_adapter & used : made.adapters) {
        const size_t          part    = used.matrices == &ffn.gate ? 0 : used.matrices == &ffn.up ? 1 : 2;
        const adapter_indices indices = copies.indices_of(layer, part);
        const size_t          matrix  = size_t(copies.matrix_of(layer, part, experts[size_t(used.expert)]));
        for (const auto & [index, of] : { std::pair(indices.a, used.a), std::pair(indices.b, used.b) }) {
            if (what.tape.gradient(of)) {
                found.parts.push_back({ index, matrix * size_t(ggml_nelements(of.tensor)), read(of) });
            }
        }
    }
    return found;
}

}  // namespace moebius
