#include "ops-mixture.h"

#include "ops-elementwise.h"

namespace moebius {

namespace {

struct mixture_maker {
    train_tape &           tape;
    const routing_inputs & routing;
    expert_output          made = {};

    // [groups], each [n, tokens of the expert]
    std::vector<train_value> by_expert(const train_value & of_tokens) const { return train_split(tape, train_gather(tape, of_tokens, routing.tokens), routing.counts); }
    train_value              by_token(const std::vector<train_value> & of_experts) const { return train_combine(tape, train_join(tape, of_experts), routing.tokens); }

    // What an expert's adapter adds to the frozen product.
    train_value change(const expert_matrices & matrices, const expert_groups::group & group, const train_value & x) {
        return train_low_rank(tape, expert_lora(tape, matrices, group, made.adapters), x);
    }
};

}  // namespace

expert_output train_mixture(train_tape & tape, const train_value & x, const train_value & weights, const expert_ffn & ffn, const routing_inputs & routing) {
    mixture_maker            maker{ tape, routing };
    const auto               gates  = maker.by_expert(train_linear(tape, ffn.gate.weight, x));
    const auto               ups    = maker.by_expert(train_linear(tape, ffn.up.weight, x));
    const auto               inputs = maker.by_expert(x);
    const auto               parts  = train_split(tape, weights, routing.counts);
    std::vector<train_value> hidden, changes;
    for (size_t i = 0; i < routing.groups.size(); i++) {
        const expert_groups::group & group = routing.groups[i];
        const train_value            gate  = train_add(tape, gates[i], maker.change(ffn.gate, group, inputs[i]));
        const train_value            up    = train_add(tape, ups[i], maker.change(ffn.up, group, inputs[i]));
        hidden.push_back(train_swiglu(tape, gate, up, parts[i]));
        changes.push_back(maker.change(ffn.down, group, hidden.back()));
    }
    maker.made.sum = train_add(tape, train_linear(tape, ffn.down.weight, maker.by_token(hidden)), maker.by_token(changes));
    return std::move(maker.made);
}

}  // namespace moebius
