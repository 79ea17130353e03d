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

train_value train_drawn_weights(train_tape & tape, const train_value & weights, const train_value & logits, const routing_inputs & routing, const draw_inputs & draws) {
    const train_value mine = train_gather(tape, logits, routing.tokens);  // [experts, assignments]
    return tape.record(ggml_mul(tape.context(), weights.tensor, draws.shares), { weights, mine }, [&tape, weights, mine, draws, routing](ggml_tensor * gradient) {
        ggml_context * const context = tape.context();
        if (weights.wanted()) {
            tape.add_gradient(weights, ggml_mul(context, gradient, draws.paths));
        }
        if (mine.wanted()) {
            ggml_tensor * const slopes = ggml_get_rows(context, draws.slopes, routing.tokens.rows);
            tape.add_gradient(mine, ggml_mul(context, slopes, ggml_mul(context, gradient, weights.tensor)));
        }
    });
}

// w = p * other / sum(p * chosen). Of it: dp = other * dw / sum - chosen * sum(dw * w) / sum, without that where the least is divided by.
train_value train_unchosen_weights(train_tape & tape, const train_value & probabilities, const routing_inputs & routing, bool normalised, float scale) {
    ggml_context * const context = tape.context();
    ggml_tensor * const  chosen  = routing.weights.present;
    ggml_tensor * const  others  = ggml_scale_bias(context, chosen, -1, 1);
    if (!normalised) {
        return train_scale(tape, train_mul(tape, probabilities, train_value(others)), scale);
    }
    ggml_tensor * const sum     = ggml_sum_rows(context, ggml_mul(context, probabilities.tensor, chosen));
    ggml_tensor * const divisor = ggml_clamp(context, sum, least_sum, INFINITY);
    ggml_tensor * const weights = ggml_div(context, ggml_mul(context, probabilities.tensor, others), divisor);
    const train_value   made    = tape.record(weights, { probabilities }, [&tape, probabilities, chosen, others, sum, divisor, weights](ggml_tensor * gradient) {
        ggml_context * const context = tape.context();
        ggml_tensor * const  varies  = ggml_step(context, ggml_scale_bias(context, sum, 1, -least_sum));
        ggml_tensor * const  mean    = ggml_mul(context, ggml_sum_rows(context, ggml_mul(context, gradient, weights)), varies);
        tape.add_gradient(probabilities, ggml_div(context, ggml_sub(context, ggml_mul(context, gradient, others), ggml_mul(context, chosen, mean)), divisor));
    });
    return train_scale(tape, made, scale);
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
