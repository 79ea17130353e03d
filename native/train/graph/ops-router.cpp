#include "ops-router.h"

#include "ops-elementwise.h"
#include "ops-softmax.h"

namespace moebius {

namespace {

// w = p * chosen / sum of them. Of it: dp = chosen * (dw - sum(dw * w)) / sum; ggml has no gradient of a division that broadcasts.
train_value normalised_weights(train_tape & tape, const train_value & p, ggml_tensor * chosen) {
    ggml_context * context = tape.context();
    ggml_tensor *  kept    = ggml_mul(context, p.tensor, chosen);
    ggml_tensor *  sum     = ggml_sum_rows(context, kept);
    // a token that chose nobody: 0 / 1
    ggml_tensor * divisor = ggml_add(context, sum, ggml_scale_bias(context, ggml_step(context, sum), -1, 1));
    ggml_tensor * weights = ggml_div(context, kept, divisor);
    return tape.record(weights, { p }, [&tape, p, chosen, divisor, weights](ggml_tensor * gradient) {
        ggml_context * context = tape.context();
        ggml_tensor *  mean    = ggml_sum_rows(context, ggml_mul(context, gradient, weights));
        tape.add_gradient(p, ggml_div(context, ggml_mul(context, ggml_sub(context, gradient, mean), chosen), divisor));
    });
}

}  // namespace

train_value train_router_weights(train_tape & tape, const train_value & probabilities, const routing_inputs & routing, bool normalised, float scale) {
    const train_value all = normalised ? normalised_weights(tape, probabilities, routing.weights.present) : probabilities;
    return train_scale(tape, train_pick(tape, all, routing.weights), scale);
}

train_value train_balance_loss(train_tape & tape, const train_value & probabilities, ggml_tensor * load, ggml_tensor * token_weight) {
    return train_sum(tape, train_mul(tape, train_mul(tape, probabilities, train_value(load)), train_value(token_weight)));
}

train_value train_router_z_loss(train_tape & tape, const train_value & logits, ggml_tensor * token_weight) {
    const train_value log_sum = train_log_sum_exp(tape, logits);
    return train_sum(tape, train_mul(tape, train_mul(tape, log_sum, log_sum), train_value(token_weight)));
}

}  // namespace moebius
