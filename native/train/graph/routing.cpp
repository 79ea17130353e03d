#include "routing.h"

namespace moebius {

routing_inputs::routing_inputs(train_tape & tape, int64_t of_tokens, int64_t per_token, int64_t experts) {
    declare(tape, of_tokens * per_token, of_tokens, per_token, experts);
}

routing_inputs::routing_inputs(train_tape & tape, const expert_groups & of) : groups(of.groups) {
    declare(tape, int64_t(of.token.size()), of.tokens, of.per_token, of.experts);
    tokens.present = of.even() ? nullptr : tape.input(GGML_TYPE_F32, 1, of.tokens, of.per_token);
    for (const expert_groups::group & group : groups) {
        counts.push_back(group.count);
    }
}

void routing_inputs::declare(train_tape & tape, int64_t assignments, int64_t of_tokens, int64_t per_token, int64_t experts) {
    tokens.rows     = tape.input(GGML_TYPE_I32, assignments);
    tokens.copies   = tape.input(GGML_TYPE_I32, of_tokens, per_token);
    weights.at      = tape.input(GGML_TYPE_I32, assignments);
    weights.back    = tape.input(GGML_TYPE_I32, of_tokens * experts);
    weights.present = tape.input(GGML_TYPE_F32, experts, of_tokens);
}

void routing_inputs::fill(const expert_groups & of, const writer & write) const {
    write(tokens.rows, of.token.data());
    write(tokens.copies, of.of_token.data());
    if (tokens.present) {
        write(tokens.present, of.has.data());
    }
    write(weights.at, of.at.data());
    write(weights.back, of.of_number.data());
    write(weights.present, of.chosen.data());
}

}  // namespace moebius
