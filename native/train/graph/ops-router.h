// Weights of chosen experts, and the losses that keep a router in shape.
#pragma once

#include "expert-draws.h"
#include "routing.h"

namespace moebius {

// probabilities: [experts, tokens], softmax or sigmoid of the router's logits -> weights of assignments [1, assignments].
// normalised: of each token the weights are divided by their sum (norm_w), or by 6e-5 if that is more. scale: expert_weights_scale. The gradient is
// exact for the choice as it is; the choice itself has none (straight-through).
train_value train_router_weights(train_tape & tape, const train_value & probabilities, const routing_inputs & routing, bool normalised, float scale = 1);

// SparseMixer's midpoint (L. Liu et al., "Sparse Backpropagation for MoE Training", arXiv 2310.00811) for experts that were drawn (draw_experts): weights [1, assignments] of them, as above,
// -> what counts of them. The loss that is expected of the draws, sum over draws D of P(D) g(y_D) with y_D the weighed sum of their experts, has the derivative
//   sum P(D) dg(y_D)                     by the weights, which a tape knows, and
//   sum P(D) (g(y_D) - g(0)) dlog P(D)   by the choice; that difference is nearly g'(y_D / 2) y_D, and exactly so if g is quadratic. g(0) is free to choose: sum P(D) dlog P(D) = 0.
// A coin has an output counted whole, for the first, or by half, for the second, each twice. Where all draws were the best ones both are taken from the whole, so that most tokens train experts with
// what they are used for (the paper's balance of router and experts; to first order only). The paper draws one expert; here D are all k of a token. Its weights are the model's own, not the drawing
// softmax's, hence the two factors in place of one. logits: [experts, tokens], as they were drawn by.
train_value train_drawn_weights(train_tape & tape, const train_value & weights, const train_value & logits, const routing_inputs & routing, const draw_inputs & draws);

// The same as train_router_weights' for experts that were not chosen, 0 for those that were -> [experts, tokens]; normalised: divided by the sum of those that were.
train_value train_unchosen_weights(train_tape & tape, const train_value & probabilities, const routing_inputs & routing, bool normalised, float scale = 1);

// scores: [experts, tokens] of routers with sigmoids -> of each token over their sum: what the balance loss takes for probabilities then
// (DeepSeek-V3, arXiv 2412.19437, eq. 19).
train_value train_shares(train_tape & tape, const train_value & scores);

// Load-balance loss -> [1]: experts * sum over experts of (assignments / tokens) * (mean probability); per_token when all are equally loaded.
// Switch Transformer (arXiv 2101.03961, eq. 4) for one expert a token, and what Hugging Face computes for more.
// load: F32 [experts], experts * assignments / tokens; token_weight: F32 [1, tokens], 1 / tokens for those that count and 0 for padding.
train_value train_balance_loss(train_tape & tape, const train_value & probabilities, ggml_tensor * load, ggml_tensor * token_weight);

// Router z-loss -> [1]: mean of log(sum(exp(logits)))^2 (ST-MoE, arXiv 2202.08906, eq. 5). logits: [experts, tokens]; token_weight as above
train_value train_router_z_loss(train_tape & tape, const train_value & logits, ggml_tensor * token_weight);

}  // namespace moebius
