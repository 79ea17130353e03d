#include "pass.h"

#include "learnt-tokens.h"
#include "train/graph/counter-random.h"
#include "model/host.h"
#include "rpc/errors.h"

#include <algorithm>
#include <chrono>
#include <numeric>

namespace moebius {

namespace {

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

uint64_t usual_activation_bytes(uint64_t reserved) {
    const uint64_t free = host_memory_now().available;
    return (free - std::min(free, reserved)) / 2;
}

float_rows times(float_rows values, float factor) {
    for (float & value : values) {
        value *= factor;
    }
    return values;
}

// Writes down how long it lives.
class stopwatch {
  public:
    explicit stopwatch(double & seconds) : seconds(seconds), began(std::chrono::steady_clock::now()) {}
    ~stopwatch() { seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count(); }

  private:
    double &                              seconds;
    std::chrono::steady_clock::time_point began;
};

}  // namespace

train_pass::train_pass(const gguf_model & file, const base_shape & of, const adapter & trained, const pass_devices & where)
    : device(where.main),
      threads(where.threads),
      runner(device, threads),
      shape(routed_shape(of, trained.mixture)),
      base(file, of, device),
      adapters(trained, device),
      no_adapters({}, device),
      experts(file, of, trained, where.experts.empty() && of.experts > 0 ? std::vector<copies_room>{ { device, of.experts, UINT64_MAX } } : where.experts, threads),
      mixture(device, threads, shape.layers, base, adapters),
      activation_bytes(where.activation_bytes.value_or(usual_activation_bytes(where.reserved_bytes))) {
    for (int64_t layer = 0; layer < shape.layers; layer++) {
        kept_memory.emplace_back(device);
    }
}

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

std::unique_ptr<layer_tape> train_pass::tape_of(const token_batch & batch, int64_t layer, const rows & input, const batch_purpose & purpose, bool gives, bool trains) {
    const layer_tools   tools{ runner, shape, base, purpose.is_adapted ? adapters : no_adapters };
    const layer_purpose of{ gives, trains, trains && trains_below(*purpose.trained, layer), purpose.dropped, purpose.factors, routing_of(layer, purpose) };
    return std::make_unique<layer_tape>(device, tools, batch, layer, input, of);
}

layer_routing train_pass::routing_of(int64_t layer, const batch_purpose & purpose) const {
    const routing_plan & plan = purpose.plan;
    return { plan.experts_used.empty() ? shape.experts_used : plan.experts_used[size_t(layer)], plan.gradient == router_gradient::sparse_mixer, plan.averages ? &plan.averages->of_layer(layer) : nullptr };
}

// scores: [tokens][experts], logits if they are drawn: numbers of the batch's stream and the layer.
expert_draws train_pass::choice(int64_t layer, const float_rows & scores, const batch_purpose & purpose) const {
    const layer_routing routing = routing_of(layer, purpose);
    if (routing.draws) {
        return draw_experts({ scores.begin(), scores.end() }, shape.experts, routing.experts_used, purpose.plan.reach, random_stream(purpose.dropped.value_or(0), "router of layer " + std::to_string(layer)));
    }
    return { chosen_experts(shape, { scores.begin(), scores.end() }, routing.experts_used), {}, {} };
}

// Forward only, or, while there is room to keep it, both ways.
std::unique_ptr<layer_tape> train_pass::forward_tape(const token_batch & batch, int64_t layer, layer_state & state, const batch_purpose & purpose, activation_budget & budget) {
    if (purpose.trained && budget.is_open()) {
        std::unique_ptr<layer_tape> both = tape_of(batch, layer, state.input, purpose, true, true);
        if (budget.take(*both, kept_memory[size_t(layer)])) {
            return both;
        }
    }
    return tape_of(batch, layer, state.input, purpose, true, false);
}

// Attention and router; then the host chooses experts, which compute by themselves.
train_pass::rows train_pass::through_layer(const token_batch & batch, int64_t layer, layer_state & state, const batch_purpose & purpose, activation_budget & budget) {
    std::unique_ptr<layer_tape> tape     = forward_tape(batch, layer, state, purpose, budget);
    const bool                  is_kept  = tape->trains();
    const auto                  finished = [&](rows output) {
        state.kept = is_kept ? std::move(tape) : nullptr;
        return output;
    };
    if (!tape->is_routed()) {
        return finished(tape->output());
    }
    state.chosen = choice(layer, tape->scores(), purpose);
    const expert_groups groups(state.chosen.ids, routing_of(layer, purpose).experts_used, shape.experts);
    const expert_entry  entry = tape->enter(groups, state.chosen);
    state.weights = groups.sums_by_expert(entry.weights);
    const batch_routes  routes{ state.chosen.ids, groups };
    const expert_inputs inputs{ routes, entry.normed, entry.weights, purpose.dropped, purpose.is_adapted, purpose.plan.averages != nullptr };
    activation_budget * const room = is_kept ? &budget : nullptr;
    if (adapters.mixture().experts > 0) {
        mixture_output made = mixture.forward(layer, inputs, room, tape->wants_experts());
        state.kept_mixture  = std::move(made.kept);
        return finished(tape->output(made.sum));
    }
    expert_outputs made = experts.forward(layer, layer + 1 < shape.layers ? layer + 1 : -1, inputs, room, tape->wants_experts());
    state.kept_experts  = std::move(made.kept);
    if (purpose.plan.averages) {
        purpose.plan.averages->note(layer, made.by_expert, groups.counts());
    }
    return finished(tape->output(made.sum));
}

std::vector<train_pass::layer_state> train_pass::forward_layers(const token_batch & batch, rows & hidden, pass_result & result, const batch_purpose & purpose) {
    check(batch);
    std::vector<layer_state> states;
    activation_budget        budget(activation_bytes);
    hidden = embedded(batch, purpose.is_adapted);
    result.forward_seconds.assign(size_t(shape.layers), 0);
    for (int64_t layer = 0; layer < shape.layers; layer++) {
        const stopwatch watch(result.forward_seconds[size_t(layer)]);
        states.push_back({ std::move(hidden), {}, std::vector<double>(size_t(shape.experts), 0.0), nullptr, nullptr, nullptr });
        hidden = through_layer(batch, layer, states.back(), purpose, budget);
        const std::vector<int32_t> & chosen = states.back().chosen.ids;
        result.expert_tokens.push_back(count_by_expert(chosen, shape.experts, std::vector<bool>(batch.tokens.size(), true)));
        result.learnt_tokens.push_back(count_by_expert(chosen, shape.experts, learnt_tokens(batch, layer + 1 == shape.layers)));
        result.expert_weights.push_back(states.back().weights);
        result.kept_layers += states.back().kept != nullptr;
    }
    result.kept_bytes = budget.taken();
    return states;
}

// With the experts that the forward pass chose. Gives the gradient of the layer's input, if something below is trained.
train_pass::rows train_pass::back_through_layer(const token_batch & batch, int64_t layer, layer_state & state, const rows & gradient, const batch_purpose & purpose, adapter & of,
                                                pass_result & result) {
    std::unique_ptr<layer_tape> tape = state.kept ? std::move(state.kept) : tape_of(batch, layer, state.input, purpose, false, true);
    if (!tape->is_routed()) {
        return tape->backward(gradient, {}, {}, of).input;
    }
    rows                         scaled;
    const rows &                 of_branch  = shape.residual_scale == 1 ? gradient : scaled = times(gradient, shape.residual_scale);
    const expert_input_gradients of_experts = back_through_experts(layer, state, *tape, of_branch, purpose, of);
    layer_gradients              made       = tape->backward(gradient, of_branch, of_experts, of);
    result.balance += made.balance / double(shape.layers - shape.dense_layers);
    result.z += made.z / double(shape.layers - shape.dense_layers);
    return std::move(made.input);
}

expert_input_gradients train_pass::back_through_experts(int64_t layer, layer_state & state, layer_tape & tape, const rows & of_branch, const batch_purpose & purpose, adapter & of) {
    const expert_groups groups(state.chosen.ids, routing_of(layer, purpose).experts_used, shape.experts);
    const expert_entry  entry = tape.enter(groups, state.chosen);
    const batch_routes  routes{ state.chosen.ids, groups };
    const expert_inputs inputs{ routes, entry.normed, entry.weights, purpose.dropped };
    const auto          kept         = std::move(state.kept_experts);
    const auto          kept_mixture = std::move(state.kept_mixture);
    return adapters.mixture().experts > 0 ? mixture.backward(layer, inputs, kept_mixture, of_branch, tape.wants_experts(), of) :
                                            experts.backward(layer, layer - 1, inputs, kept, of_branch, tape.wants_experts(), of);
}

pass_result train_pass::forward(const token_batch & batch, bool is_adapted, const std::vector<int64_t> & experts_used) {
    pass_result result;
    rows        hidden;
    forward_layers(batch, hidden, result, { is_adapted, nullptr, std::nullopt, {}, { experts_used } });
    loss_of(batch, hidden, is_adapted, result);
    return result;
}

pass_result train_pass::forward_backward(const token_batch & batch, const router_loss_factors & factors, adapter & of, uint64_t stream, const row_weighting & weigh, const routing_plan & plan) {
    pass_result                    result;
    rows                           hidden;
    const batch_purpose            purpose{ true, &of, stream, factors, plan };
    std::vector<layer_state>       states  = forward_layers(batch, hidden, result, purpose);
    token_batch                    weighed = batch;
    if (weigh) {
        loss_of(batch, hidden, true, result);
        weighed.weights = weigh(result.row_losses);
        result.loss     = 0;
    }
    rows gradient = back_through_loss(weighed, hidden, of, result);
    result.backward_seconds.assign(size_t(shape.layers), 0);
    for (int64_t layer = shape.layers - 1; layer >= 0 && !gradient.empty(); layer--) {
        const stopwatch watch(result.backward_seconds[size_t(layer)]);
        gradient = back_through_layer(batch, layer, states[size_t(layer)], gradient, purpose, of, result);
    }
    back_through_embedding(batch, gradient, of);
    return result;
}

}  // namespace moebius
