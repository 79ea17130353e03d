#include "layer-graph.h"

#include "train/graph/ops-elementwise.h"
#include "train/graph/ops-linear.h"
#include "train/graph/ops-norm.h"
#include "train/graph/ops-router.h"
#include "train/graph/ops-softmax.h"

#include <algorithm>
#include <numeric>

namespace moebius {

void keep_gradients(train_tape & tape, const std::vector<parameter_use> & uses) {
    for (const parameter_use & use : uses) {
        if (ggml_tensor * const found = tape.gradient(use.value)) {
            tape.keep(found);
        }
    }
}

void add_up_gradients(const train_tape & tape, const std::vector<parameter_use> & uses, adapter & of) {
    for (const parameter_use & use : uses) {
        if (ggml_tensor * const found = tape.gradient(use.value)) {
            const float_rows values = train_runner::read(found);
            std::vector<float> &     sum    = of.parameters[use.parameter].gradient;
            std::transform(values.begin(), values.end(), sum.begin(), sum.begin(), std::plus<float>());
        }
    }
}

attention_inputs::attention_inputs(train_tape & tape, const token_batch & batch) : positions(tape.input(GGML_TYPE_I32, int64_t(batch.tokens.size()))) {
    for (const int64_t length : batch.lengths) {
        if (tape.on_cpu()) {  // needs none
            spans.push_back({ length, nullptr });
            continue;
        }
        auto mask = std::find_if(masks.begin(), masks.end(), [length](const auto & each) { return each.first == length; });
        if (mask == masks.end()) {
            mask = masks.insert(masks.end(), { length, tape.input(GGML_TYPE_F32, length, length) });
        }
        spans.push_back({ length, mask->second });
    }
}

int64_t attention_inputs::longest() const {
    return std::max_element(spans.begin(), spans.end(), [](const attention_span & a, const attention_span & b) { return a.tokens < b.tokens; })->tokens;
}

void attention_inputs::fill(const token_batch & batch, const routing_inputs::writer & write) const {
    write(positions, batch.positions.data());
    for (const auto & [length, mask] : masks) {
        write(mask, causal_mask(length).data());
    }
}

std::vector<int32_t> chosen_experts(const base_shape & shape, std::vector<float> scores, int64_t used) {
    if (shape.expert_groups > 1) {
        scores = within_best_groups(std::move(scores), shape.experts, shape.expert_groups, shape.expert_groups_used);
    }
    return top_experts(scores, shape.experts, used);
}

layer_graph::layer_graph(train_tape & on, const base_shape & of, const base_weights & from, const adapter_tensors & with, int64_t layer, bool learns)
    : tape(on), shape(of), base(from), weights(from.layer(layer)), adapters(with), trains(learns), rope(of.rope), mixture_router(with.router_of_mixture(layer)) {}

train_value layer_graph::used_value(size_t parameter, ggml_tensor * tensor) {
    if (!trains) {
        return train_value(tensor);
    }
    used.push_back({ parameter, tape.variable(tensor) });
    return used.back().value;
}

train_value layer_graph::linear(ggml_tensor * weight, const train_value & x, ggml_tensor * bias) {
    const lora_tensors lora  = adapters.lora_of(weight);
    const whole_tensor whole = adapters.whole_of(weight);
    train_value        y;
    if (lora.a) {
        lora_weights with;
        with.a     = used_value(lora.a_index, lora.a);
        with.b     = used_value(lora.b_index, lora.b);
        with.scale = lora.scale;
        std::vector<int32_t> tokens(size_t(x.tensor->ne[1]));
        std::iota(tokens.begin(), tokens.end(), 0);
        with.dropout = dropout_input(tape, write_mask, dropped, weight, lora.dropout, tokens);
        y          = train_lora(tape, weight, with, x);
    } else {
        y = whole.tensor ? train_linear(tape, used_value(whole.index, whole.tensor), x) : train_linear(tape, weight, x);
    }
    return bias ? train_add(tape, y, train_value(bias)) : y;
}

train_value layer_graph::norm(ggml_tensor * weight, const train_value & x) {
    const whole_tensor whole = adapters.whole_of(weight);
    return train_rms_norm(tape, x, whole.tensor ? used_value(whole.index, whole.tensor) : train_value(weight), shape.norm_epsilon);
}

train_value layer_graph::residual(const train_value & x, const train_value & branch) {
    return train_add(tape, x, shape.residual_scale == 1 ? branch : train_scale(tape, branch, shape.residual_scale));
}

// [d, heads, tokens]. its_norm: null: none.
train_value layer_graph::heads_of(ggml_tensor * weight, ggml_tensor * bias, ggml_tensor * its_norm, const train_value & x, int64_t heads, int64_t d) {
    const int64_t tokens = x.tensor->ne[1];
    train_value   y      = linear(weight, x, bias);
    if (its_norm && shape.norm_of_queries == query_norm::all) {
        y = norm(its_norm, y);
    }
    y = train_reshape(tape, y, d, heads, tokens);
    return its_norm && shape.norm_of_queries == query_norm::heads ? norm(its_norm, y) : y;
}

head_values layer_graph::heads_of_state(const train_value & normed, const attention_inputs & inputs) {
    const attention_weights & of = weights.attention;
    head_values               made;
    made.q = train_rope(tape, heads_of(of.q, of.q_bias, of.q_norm, normed, shape.heads, shape.head_k), inputs.positions, rope);
    made.k = train_rope(tape, heads_of(of.k, of.k_bias, of.k_norm, normed, shape.kv_heads, shape.head_k), inputs.positions, rope);
    made.v = heads_of(of.v, of.v_bias, nullptr, normed, shape.kv_heads, shape.head_v);
    return made;
}

train_value layer_graph::attention(const train_value & x, const attention_inputs & inputs) {
    rope.factors = base.rope_factors(inputs.longest());
    const attention_weights & of     = weights.attention;
    const train_value         normed = norm(of.norm, x);
    const head_values         heads  = shape.latent > 0 ? heads_of_latent(normed, inputs) : heads_of_state(normed, inputs);
    const train_value         seen   = train_attention(tape, heads.q, heads.k, heads.v, inputs.spans, shape.attention_scale);
    return residual(x, linear(of.output, train_reshape(tape, seen, shape.head_v * shape.heads, x.tensor->ne[1]), of.output_bias));
}

router_values layer_graph::router(const train_value & x) {
    router_values made;
    made.normed        = norm(weights.norm, x);
    made.logits        = mixture_router.tensor ? train_linear(tape, used_value(mixture_router.index, mixture_router.tensor), made.normed) : linear(weights.router, made.normed);
    const bool softens = shape.scores == scoring::softmax;
    made.probabilities = softens ? train_softmax(tape, made.logits) : train_sigmoid(tape, made.logits);
    made.shares        = softens ? made.probabilities : train_shares(tape, made.probabilities);
    made.scores        = train_value(made.probabilities.tensor);
    if (weights.choice_bias) {
        made.scores = train_add(tape, made.scores, train_value(weights.choice_bias));
    }
    return made;
}

train_value layer_graph::expert_weights(const train_value & probabilities, const routing_inputs & routing) {
    return train_router_weights(tape, probabilities, routing, shape.normalises_weights, shape.weights_scale);
}

train_value layer_graph::stand_ins(ggml_tensor * averages, const train_value & probabilities, const routing_inputs & routing) {
    return train_linear(tape, averages, train_unchosen_weights(tape, probabilities, routing, shape.normalises_weights, shape.weights_scale));
}

// down(swiglu(gate x, up x))
train_value layer_graph::swiglu(const ffn_weights & of, const train_value & normed) {
    return linear(of.down, train_swiglu(tape, linear(of.gate, normed), linear(of.up, normed)));
}

train_value layer_graph::dense(const train_value & x) {
    return residual(x, swiglu(weights.dense, norm(weights.norm, x)));
}

// The same times sigmoid(w x); without w unweighed
train_value layer_graph::shared_expert(const train_value & normed) {
    const shared_weights & of = weights.shared;
    const train_value      y  = swiglu(of.ffn, normed);
    return of.weight ? train_mul(tape, y, train_sigmoid(tape, linear(of.weight, normed))) : y;
}

}  // namespace moebius
