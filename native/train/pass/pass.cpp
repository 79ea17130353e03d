#include "pass.h"

#include "train/graph/ops-elementwise.h"
#include "train/graph/ops-loss.h"
#include "train/graph/ops-norm.h"
#include "train/graph/ops-router.h"
#include "rpc/errors.h"

#include <algorithm>
#include <numeric>

namespace moebius {

namespace {

// Tensors of a layer's tape: some hundred for attention and router, and for each sequence what its ops emit in both directions.
size_t nodes_for(size_t sequences) {
    return 2048 + 128 * sequences;
}

std::vector<float> scaled(std::vector<float> values, float factor) {
    for (float & value : values) {
        value *= factor;
    }
    return values;
}

// A mixture's experts in place of the dense FFN; their weights add up to 1, as llama.cpp's graphs of the merged model have it.
base_shape routed_shape(base_shape shape, const lora_mixture & mixture) {
    if (mixture.experts > 0) {
        shape.experts            = mixture.experts;
        shape.experts_used       = mixture.experts_used;
        shape.normalises_weights = true;
        shape.weights_scale      = 1;
    }
    return shape;
}

// Which rows of a matrix are taken, each at most once.
struct taken_rows {
    std::vector<int32_t> copies;   // [all]
    std::vector<float>   present;  // [all]

    taken_rows(const std::vector<int32_t> & rows, size_t all) : copies(all, 0), present(all, 0.0f) {
        for (size_t i = 0; i < rows.size(); i++) {
            copies[size_t(rows[i])]  = int32_t(i);
            present[size_t(rows[i])] = 1;
        }
    }
};

}  // namespace

train_pass::train_pass(const gguf_model & file, const base_shape & of, const adapter & trained, const pass_devices & where)
    : device(where.main),
      runner(device, where.threads),
      shape(routed_shape(of, trained.mixture)),
      base(file, of, device),
      adapters(trained, device),
      no_adapters({}, device),
      experts(file, of, trained, where.experts.empty() && of.experts > 0 ? std::vector<copies_room>{ { device, of.experts, UINT64_MAX } } : where.experts, where.threads),
      mixture(device, where.threads, shape, base, adapters) {}

void train_pass::write(const adapter & of) {
    adapters.write(of);
    experts.write(of);
}

void train_pass::check(const token_batch & batch) const {
    const size_t tokens = batch.tokens.size();
    const auto   outside = [](int64_t limit) { return [limit](int64_t value) { return value < 0 || value >= limit; }; };
    const bool   sizes  = tokens > 0 && batch.positions.size() == tokens && size_t(std::accumulate(batch.lengths.begin(), batch.lengths.end(), int64_t(0))) == tokens &&
                       !batch.rows.empty() && batch.labels.size() == batch.rows.size() && batch.weights.size() == batch.rows.size();
    if (!sizes) {
        throw user_error("request.invalid", "A batch of " + std::to_string(tokens) + " tokens has other numbers of positions, sequences or labels, or nothing to learn.", {});
    }
    if (std::any_of(batch.tokens.begin(), batch.tokens.end(), outside(shape.vocabulary)) || std::any_of(batch.labels.begin(), batch.labels.end(), outside(shape.vocabulary))) {
        throw user_error("request.invalid", "The data has tokens that this model does not: its vocabulary has " + std::to_string(shape.vocabulary) + ". Encode the data for this model.", {});
    }
    if (std::any_of(batch.rows.begin(), batch.rows.end(), outside(int64_t(tokens)))) {
        throw user_error("request.invalid", "A batch of " + std::to_string(tokens) + " tokens has a label for one that it does not have.", {});
    }
}

train_pass::rows train_pass::embedded(const token_batch & batch) {
    tape_job          what(device, 64);
    const train_value x = train_embedding(what.tape, train_value(base.embedding()), what.ids(batch.tokens, int64_t(batch.tokens.size())));
    ggml_tensor *     y = what.tape.keep(train_scale(what.tape, x, shape.embedding_scale).tensor);
    what.run(runner);
    return train_runner::read(y);
}

// Attention and router; then the host chooses experts. Attention and FFN, if the layer is not routed.
train_pass::rows train_pass::through_layer(const token_batch & batch, int64_t layer, layer_state & state, const forward_mode & mode) {
    const int64_t tokens = int64_t(batch.tokens.size());
    rows          behind, normed, probabilities, scores;
    {
        tape_job               what(device, nodes_for(batch.lengths.size()));
        layer_graph            graph(what.tape, shape, base, mode.is_adapted ? adapters : no_adapters, layer, false);
        graph.drop(mode.dropped, what.writer());
        const attention_inputs seen(what.tape, batch);
        seen.fill(batch, what.writer());
        const train_value x = graph.attention(train_value(what.floats(state.input, shape.n_embd, tokens)), seen);
        if (!graph.is_routed()) {
            ggml_tensor * const y = what.tape.keep(graph.dense(x).tensor);
            what.run(runner);
            return train_runner::read(y);
        }
        const router_values router = graph.router(x);
        what.tape.keep(x.tensor);
        what.tape.keep(router.normed.tensor);
        what.tape.keep(router.probabilities.tensor);
        what.tape.keep(router.scores.tensor);
        what.run(runner);
        behind        = train_runner::read(x.tensor);
        normed        = train_runner::read(router.normed.tensor);
        probabilities = train_runner::read(router.probabilities.tensor);
        scores        = train_runner::read(router.scores.tensor);
    }
    state.ids = chosen_experts(shape, std::move(scores));
    return behind_experts(layer, state.ids, behind, normed, probabilities, mode);
}

// behind + the experts of `ids` + the shared one
train_pass::rows train_pass::behind_experts(int64_t layer, const std::vector<int32_t> & ids, const rows & behind, const rows & normed, const rows & probabilities,
                                            const forward_mode & mode) {
    const expert_groups  groups(ids, shape.experts_used, shape.experts);
    tape_job             what(device, nodes_for(0));
    layer_graph          graph(what.tape, shape, base, mode.is_adapted ? adapters : no_adapters, layer, false);
    graph.drop(mode.dropped, what.writer());
    const routing_inputs routing(what.tape, groups);
    routing.fill(groups, what.writer());
    const train_value   weights = graph.expert_weights(train_value(what.floats(probabilities, shape.experts, groups.tokens)), routing);
    ggml_tensor * const shared  = graph.has_shared_expert() ? what.tape.keep(graph.shared_expert(train_value(what.floats(normed, shape.n_embd, groups.tokens))).tensor) : nullptr;
    what.tape.keep(weights.tensor);
    what.run(runner);
    const rows          of_assignments = train_runner::read(weights.tensor);
    const batch_routes  routes{ ids, groups };
    const expert_inputs inputs{ routes, normed, of_assignments, mode.dropped, mode.is_adapted };
    const rows of_experts = adapters.mixture().experts > 0 ? mixture.forward(layer, inputs) : experts.forward(layer, layer + 1 < shape.layers ? layer + 1 : -1, inputs);
    const rows of_shared  = shared ? train_runner::read(shared) : rows();
    rows       sum        = behind;
    for (size_t i = 0; i < sum.size(); i++) {
        sum[i] += shape.residual_scale * (of_experts[i] + (shared ? of_shared[i] : 0.0f));
    }
    return sum;
}

std::vector<train_pass::layer_state> train_pass::forward_layers(const token_batch & batch, rows & hidden, pass_result & result, const forward_mode & mode) {
    check(batch);
    std::vector<layer_state> states;
    hidden = embedded(batch);
    for (int64_t layer = 0; layer < shape.layers; layer++) {
        states.push_back({ std::move(hidden), {} });
        hidden = through_layer(batch, layer, states.back(), mode);
        std::vector<int64_t> tokens(size_t(shape.experts), 0);
        for (const int32_t id : states.back().ids) {
            tokens[size_t(id)]++;
        }
        result.expert_tokens.push_back(std::move(tokens));
    }
    return states;
}

// Gives the gradient of `hidden`, if that is wanted.
train_pass::rows train_pass::loss_of(const token_batch & batch, const rows & hidden, bool backward, pass_result & result) {
    const int64_t     tokens = int64_t(batch.tokens.size()), count = int64_t(batch.rows.size());
    const taken_rows  taken(batch.rows, batch.tokens.size());
    tape_job          what(device, 4096 + 64 * size_t(shape.vocabulary / loss_settings().vocabulary_chunk + 1));
    ggml_tensor *     input = what.floats(hidden, shape.n_embd, tokens);
    const train_value x     = backward ? what.tape.variable(input) : train_value(input);
    row_map           map;
    map.rows    = what.ids(batch.rows, count);
    map.copies  = what.ids(taken.copies, tokens);
    map.present = ggml_reshape_3d(what.tape.context(), what.floats(taken.present, tokens), 1, tokens, 1);
    const train_value last   = train_rms_norm(what.tape, train_gather(what.tape, x, map), train_value(base.norm()), shape.norm_epsilon);
    const train_value losses = train_token_losses(what.tape, train_scale(what.tape, last, shape.logit_scale), base.head(), what.ids(batch.labels, count));
    what.tape.keep(losses.tensor);
    ggml_tensor * gradient = nullptr;
    if (backward) {
        what.tape.add_gradient(losses, ggml_reshape_2d(what.tape.context(), what.floats(batch.weights, count), 1, count));
        what.tape.backward();
        gradient = what.tape.keep(what.tape.gradient(x));
    }
    what.run(runner);
    result.row_losses = train_runner::read(losses.tensor);
    for (size_t i = 0; i < result.row_losses.size(); i++) {
        result.loss += double(batch.weights[i]) * double(result.row_losses[i]);
    }
    return gradient ? train_runner::read(gradient) : rows();
}

bool train_pass::trains_below(const adapter & of, int64_t layer) const {
    return std::any_of(of.parameters.begin(), of.parameters.end(), [layer](const train_parameter & parameter) {
        int of_layer = 0;
        return std::sscanf(parameter.name.c_str(), "blk.%d.", &of_layer) != 1 || of_layer < layer;
    });
}

// Builds the layer once more, with the experts that the forward pass chose, and gives the gradient of its input, if something below is trained. The experts compute where the tape pauses:
// between what they get and the gradients of it.
train_pass::rows train_pass::back_through_layer(const token_batch & batch, int64_t layer, const layer_state & state, const rows & gradient, const router_loss_factors & factors, adapter & of,
                                                uint64_t stream, pass_result & result) {
    const int64_t          tokens = int64_t(batch.tokens.size());
    const expert_groups    groups(state.ids, shape.experts_used, shape.experts);
    tape_job               what(device, nodes_for(batch.lengths.size()));
    train_tape &           tape = what.tape;
    layer_graph            graph(tape, shape, base, adapters, layer, true);
    graph.drop(stream, what.writer());
    const attention_inputs seen(tape, batch);
    seen.fill(batch, what.writer());
    const routing_inputs routing(tape, groups);
    routing.fill(groups, what.writer());
    ggml_tensor * const input   = what.floats(state.input, shape.n_embd, tokens);
    const train_value   x       = trains_below(of, layer) ? tape.variable(input) : train_value(input);
    const train_value   behind  = graph.attention(x, seen);
    const router_values router  = graph.router(behind);
    const train_value   weights = graph.expert_weights(router.probabilities, routing);
    const train_value   shared  = graph.has_shared_expert() ? graph.shared_expert(router.normed) : train_value();
    tape.keep(router.normed.tensor);
    tape.keep(weights.tensor);
    const router_loss_values losses = router_losses(what, router, result.expert_tokens[size_t(layer)], tokens);
    what.pause();
    add_gradients(what, losses, factors);
    const auto later = [&](const train_value & value) {
        ggml_tensor * const made = value.wanted() ? tape.input(GGML_TYPE_F32, value.tensor->ne[0], value.tensor->ne[1]) : nullptr;
        if (made) {
            tape.add_gradient(value, made);
        }
        return made;
    };
    ggml_tensor * const of_normed = later(router.normed), * const of_weights = later(weights);
    const rows          of_branch = scaled(gradient, shape.residual_scale);
    for (const auto & [value, its] : { std::pair(&behind, &gradient), std::pair(&shared, &of_branch) }) {
        if (value->wanted()) {
            tape.add_gradient(*value, what.floats(*its, shape.n_embd, tokens));
        }
    }
    tape.backward();
    ggml_tensor * const below = keep_gradients(tape, graph, x);
    what.run(runner);
    const rows                   normed = train_runner::read(router.normed.tensor), of_assignments = train_runner::read(weights.tensor);
    const batch_routes           routes{ state.ids, groups };
    const expert_inputs          inputs{ routes, normed, of_assignments, stream };
    const bool                   wants_inputs = of_normed || of_weights;
    const expert_input_gradients found        = adapters.mixture().experts > 0 ? mixture.backward(layer, inputs, of_branch, wants_inputs, of) :
                                                                                 experts.backward(layer, layer - 1, inputs, of_branch, wants_inputs, of);
    for (const auto & [its, values] : { std::pair(of_normed, &found.normed), std::pair(of_weights, &found.weights) }) {
        if (its) {
            what.write(its, values->data());
        }
    }
    what.run(runner);
    add_up(tape, graph, of);
    result.balance += double(train_runner::read(losses.balance.tensor)[0]) / double(shape.layers - shape.dense_layers);
    result.z += double(train_runner::read(losses.z.tensor)[0]) / double(shape.layers - shape.dense_layers);
    return below ? train_runner::read(below) : rows();
}

// The same of a layer that is not routed: one tape without a pause.
train_pass::rows train_pass::back_through_dense(const token_batch & batch, int64_t layer, const rows & input, const rows & gradient, adapter & of, uint64_t stream) {
    tape_job               what(device, nodes_for(batch.lengths.size()));
    layer_graph            graph(what.tape, shape, base, adapters, layer, true);
    graph.drop(stream, what.writer());
    const attention_inputs seen(what.tape, batch);
    seen.fill(batch, what.writer());
    ggml_tensor * const entry = what.floats(input, shape.n_embd, int64_t(batch.tokens.size()));
    const train_value   x     = trains_below(of, layer) ? what.tape.variable(entry) : train_value(entry);
    const train_value   y     = graph.dense(graph.attention(x, seen));
    if (y.wanted()) {
        what.tape.add_gradient(y, what.floats(gradient, shape.n_embd, int64_t(batch.tokens.size())));
    }
    what.tape.backward();
    ggml_tensor * const below = keep_gradients(what.tape, graph, x);
    what.run(runner);
    add_up(what.tape, graph, of);
    return below ? train_runner::read(below) : rows();
}

// Those of parameters, and that of x, which it gives; null: it has none.
ggml_tensor * train_pass::keep_gradients(train_tape & tape, const layer_graph & graph, const train_value & x) {
    for (const parameter_use & use : graph.uses()) {
        if (tape.gradient(use.value)) {
            tape.keep(tape.gradient(use.value));
        }
    }
    return tape.gradient(x) ? tape.keep(tape.gradient(x)) : nullptr;
}

// Of a layer's router, [1] each, to be read.
train_pass::router_loss_values train_pass::router_losses(tape_job & what, const router_values & router, const std::vector<int64_t> & expert_tokens, int64_t tokens) const {
    std::vector<float> load;
    for (const int64_t each : expert_tokens) {
        load.push_back(float(double(shape.experts) * double(each) / double(tokens)));
    }
    ggml_tensor * const      share = what.floats(std::vector<float>(size_t(tokens), 1 / float(tokens)), 1, tokens);
    const router_loss_values made  = { train_balance_loss(what.tape, router.shares, what.floats(load, shape.experts), share), train_router_z_loss(what.tape, router.logits, share) };
    what.tape.keep(made.balance.tensor);
    what.tape.keep(made.z.tensor);
    return made;
}

void train_pass::add_gradients(tape_job & what, const router_loss_values & losses, const router_loss_factors & factors) const {
    for (const auto & [value, factor] : { std::pair(losses.balance, factors.balance), std::pair(losses.z, factors.z) }) {
        if (value.wanted() && factor != 0) {
            what.tape.add_gradient(value, what.floats({ factor / float(shape.layers - shape.dense_layers) }, 1));
        }
    }
}

void train_pass::add_up(const train_tape & tape, const layer_graph & graph, adapter & of) {
    for (const parameter_use & use : graph.uses()) {
        if (ggml_tensor * const found = tape.gradient(use.value)) {
            const std::vector<float> values = train_runner::read(found);
            std::vector<float> &     sum    = of.parameters[use.parameter].gradient;
            std::transform(values.begin(), values.end(), sum.begin(), sum.begin(), std::plus<float>());
        }
    }
}

pass_result train_pass::forward(const token_batch & batch, bool is_adapted) {
    pass_result result;
    rows        hidden;
    forward_layers(batch, hidden, result, { is_adapted, std::nullopt });
    loss_of(batch, hidden, false, result);
    return result;
}

pass_result train_pass::forward_backward(const token_batch & batch, const router_loss_factors & factors, adapter & of, uint64_t stream, const row_weighting & weigh) {
    pass_result                    result;
    rows                           hidden;
    const std::vector<layer_state> states  = forward_layers(batch, hidden, result, { true, stream });
    token_batch                    weighed = batch;
    if (weigh) {
        loss_of(batch, hidden, false, result);
        weighed.weights = weigh(result.row_losses);
        result.loss     = 0;
    }
    rows gradient = loss_of(weighed, hidden, true, result);
    for (int64_t layer = shape.layers - 1; layer >= 0 && !gradient.empty(); layer--) {
        const layer_state & state = states[size_t(layer)];
        gradient = state.ids.empty() ? back_through_dense(batch, layer, state.input, gradient, of, stream) : back_through_layer(batch, layer, state, gradient, factors, of, stream, result);
    }
    return result;
}

}  // namespace moebius
