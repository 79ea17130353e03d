// Weights of chosen experts, and the losses that keep a router in shape.
#pragma once

#include "routing.h"

namespace moebius {

// probabilities: [experts, tokens], softmax or sigmoid of the router's logits -> weights of assignments [1, assignments].
// normalised: of each token the weights are divided by their sum (norm_w), or by 6e-5 if that is more. scale: expert_weights_scale. The gradient is
// exact for the choice as it is; the choice itself has none (straight-through).
train_value train_router_weights(train_tape & tape, const train_value & probabilities, const routing_inputs & routing, bool normalised, float scale = 1);

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
