#include "ops-router.h"

#include "ops-elementwise.h"
#include "ops-softmax.h"

#include <cmath>

namespace moebius {

namespace {

constexpr float least_sum = 6.103515625e-5f;  // of weights, as llama.cpp divides (build_moe_ffn): the smallest normal number of F16

// w = p * chosen / sum of them; chosen null: all. Of it: dp = chosen * (dw - sum(dw * w)) / sum, without the sum where the least is divided by;
// ggml has no gradient of a division that broadcasts. A token that chose nobody: 0 / the least.
train_value shares_of(train_tape & tape, const train_value & p, ggml_tensor * chosen) {
    ggml_context * context = tape.context();
    const auto     kept    = [&tape, chosen](ggml_tensor * x) { return chosen ? ggml_mul(tape.context(), x, chosen) : x; };
    ggml_tensor *  sum     = ggml_sum_rows(context, kept(p.tensor));
    ggml_tensor *  divisor = ggml_clamp(context, sum, least_sum, INFINITY);
    ggml_tensor *  weights = ggml_div(context, kept(p.tensor), divisor);
    return tape.record(weights, { p }, [&tape, p, kept, sum, divisor, weights](ggml_tensor * gradient) {
        ggml_context * context = tape.context();
        ggml_tensor *  varies  = ggml_step(context, ggml_scale_bias(context, sum, 1, -least_sum));
        ggml_tensor *  mean    = ggml_mul(context, ggml_sum_rows(context, ggml_mul(context, gradient, weights)), varies);
        tape.add_gradient(p, ggml_div(context, kept(ggml_sub(context, gradient, mean)), divisor));
    });
}

}  // namespace

train_value train_router_weights(train_tape & tape, const train_value & probabilities, const routing_inputs & routing, bool normalised, float scale) {
    const train_value all = normalised ? shares_of(tape, probabilities, routing.weights.present) : probabilities;
    return train_scale(tape, train_pick(tape, all, routing.weights), scale);
}

train_value train_shares(train_tape & tape, const train_value & scores) {
    return shares_of(tape, scores, nullptr);
}

train_value train_balance_loss(train_tape & tape, const train_value & probabilities, ggml_tensor * load, ggml_tensor * token_weight) {
    return train_sum(tape, train_mul(tape, train_mul(tape, probabilities, train_value(load)), train_value(token_weight)));
}

train_value train_router_z_loss(train_tape & tape, const train_value & logits, ggml_tensor * token_weight) {
    const train_value log_sum = train_log_sum_exp(tape, logits);
    return train_sum(tape, train_mul(tape, train_mul(tape, log_sum, log_sum), train_value(token_weight)));
}

}  // namespace moebius
