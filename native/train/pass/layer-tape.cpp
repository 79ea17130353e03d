#include "layer-tape.h"

#include "train/graph/ops-elementwise.h"
#include "train/graph/ops-router.h"

#include <utility>

namespace moebius {

namespace {

// Where a tape stops: behind the router, and where experts compute.
constexpr size_t at_choice = 0, at_experts = 1;

// Tensors: some hundred for attention and router, and for each sequence what its ops emit in both directions.
size_t nodes_for(size_t sequences) {
    return 2048 + 128 * sequences;
}


}  // namespace

layer_tape::layer_tape(ggml_backend_dev_t device, const layer_tools & with, const token_batch & batch, int64_t layer, const float_rows & input, const layer_purpose & of)
    : tools(with),
      purpose(of),
      tokens(int64_t(batch.tokens.size())),
      what(device, nodes_for(batch.lengths.size())),
      graph(what.tape, tools.shape, tools.base, tools.adapters, layer, of.trains),
      seen(what.tape, batch),
      routing(what.tape, tokens, of.routing.experts_used, tools.shape.experts) {
    graph.drop(of.dropped, what.writer());
    seen.fill(batch, what.writer());
    ggml_tensor * const entry = what.floats(input, tools.shape.n_embd, tokens);
    x                         = of.wants_input ? what.tape.variable(entry) : train_value(entry);
    behind                    = graph.attention(x, seen);
    graph.is_routed() ? build_routed() : build_dense();
    if (of.trains) {
        differentiate();
    }
}

void layer_tape::build_dense() {
    behind = graph.dense(behind);
    keep_output({ &behind });
    what.pause();
}

void layer_tape::keep_output(std::initializer_list<const train_value *> parts) {
    for (const train_value * part : parts) {
        if (purpose.gives && part->tensor) {
            what.tape.keep(part->tensor);
        }
    }
}

void layer_tape::build_routed() {
    router = graph.router(behind);
    what.tape.keep(purpose.routing.draws ? router.logits.tensor : router.scores.tensor);
    what.pause();
    weights = graph.expert_weights(router.probabilities, routing);
    if (purpose.routing.draws) {
        drawn   = draw_inputs(what.tape, tokens * purpose.routing.experts_used, tokens, tools.shape.experts);
        weights = train_drawn_weights(what.tape, weights, router.logits, routing, drawn);
    }
    add_beside();
    what.tape.keep(router.normed.tensor);
    what.tape.keep(weights.tensor);
    keep_output({ &behind, &beside });
    if (purpose.trains) {
        add_router_losses();
    }
    what.pause();
}

void layer_tape::add_beside() {
    beside = graph.has_shared_expert() ? graph.shared_expert(router.normed) : train_value();
    if (const std::vector<float> * const averages = purpose.routing.averages) {
        const train_value others = graph.stand_ins(what.floats(*averages, tools.shape.experts, tools.shape.n_embd), router.probabilities, routing);
        beside                   = beside.tensor ? train_add(what.tape, beside, others) : others;
    }
}

void layer_tape::add_router_losses() {
    ggml_tensor * const share = what.floats(std::vector<float>(size_t(tokens), 1 / float(tokens)), 1, tokens);
    load                      = what.tape.input(GGML_TYPE_F32, tools.shape.experts);
    balance                   = train_balance_loss(what.tape, router.shares, load, share);
    z                         = train_router_z_loss(what.tape, router.logits, share);
    what.tape.keep(balance.tensor);
    what.tape.keep(z.tensor);
}

// A gradient that the host writes; null: nobody wants it.
ggml_tensor * layer_tape::seed(const train_value & value) {
    ggml_tensor * const made = value.wanted() ? what.tape.input(GGML_TYPE_F32, value.tensor->ne[0], value.tensor->ne[1]) : nullptr;
    if (made) {
        what.tape.add_gradient(value, made);
    }
    return made;
}

void layer_tape::differentiate() {
    const float of_mean = 1 / float(tools.shape.layers - tools.shape.dense_layers);
    for (const auto & [value, factor] : { std::pair(balance, purpose.factors.balance), std::pair(z, purpose.factors.z) }) {
        if (value.wanted() && factor != 0) {
            what.tape.add_gradient(value, what.floats({ factor * of_mean }, 1));
        }
    }
    of_normed  = seed(router.normed);
    of_weights = seed(weights);
    of_behind  = seed(behind);
    of_beside  = seed(beside);
    what.tape.backward();
    keep_gradients(what.tape, graph.uses());
    of_input = what.tape.gradient(x);
    if (of_input) {
        what.tape.keep(of_input);
    }
}

float_rows layer_tape::scores() {
    what.run(tools.runner, at_choice);
    return train_runner::read(purpose.routing.draws ? router.logits.tensor : router.scores.tensor);
}

expert_entry layer_tape::enter(const expert_groups & groups, const expert_draws & draws) {
    choose(groups, draws);
    what.run(tools.runner, at_experts);
    return { train_runner::read(router.normed.tensor), train_runner::read(weights.tensor) };
}

// Once: afterwards the inputs' memory may be something else's.
void layer_tape::choose(const expert_groups & groups, const expert_draws & draws) {
    if (std::exchange(is_chosen, true)) {
        return;
    }
    routing.fill(groups, what.writer());
    if (drawn.shares) {
        drawn.fill(draws, groups, what.writer());
    }
    if (load) {
        std::vector<float> loads(size_t(groups.experts), 0.0f);
        for (const expert_groups::group & group : groups.groups) {
            loads[size_t(group.expert)] = float(double(groups.experts) * double(group.count) / double(tokens));
        }
        what.write(load, loads.data());
    }
}

float_rows layer_tape::output(const float_rows & of_experts) {
    what.run(tools.runner, at_choice);
    float_rows sum = train_runner::read(behind.tensor);
    if (!is_routed()) {
        return sum;
    }
    const float_rows added = beside.tensor ? train_runner::read(beside.tensor) : float_rows();
    for (size_t i = 0; i < sum.size(); i++) {
        sum[i] += tools.shape.residual_scale * (of_experts[i] + (added.empty() ? 0.0f : added[i]));
    }
    return sum;
}

layer_gradients layer_tape::backward(const float_rows & gradient, const float_rows & of_branch, const expert_input_gradients & of_experts, adapter & of) {
    for (const auto & [input, values] : { std::pair(of_behind, &gradient), std::pair(of_beside, &of_branch), std::pair(of_normed, &of_experts.normed), std::pair(of_weights, &of_experts.weights) }) {
        if (input) {
            what.write(input, values->data());
        }
    }
    what.run(tools.runner);
    add_up_gradients(what.tape, graph.uses(), of);
    const auto number = [](const train_value & value) { return value.tensor ? double(train_runner::read(value.tensor)[0]) : 0.0; };
    return { of_input ? train_runner::read(of_input) : float_rows(), number(balance), number(z) };
}

}  // namespace moebius
