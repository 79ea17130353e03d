// Direct preference optimisation (DPO, R. Rafailov et al., arXiv 2305.18290): of two answers the chosen one is to gain on the rejected one, counted from the base model.
#pragma once

#include "train/data/packed-batch.h"

namespace moebius {

struct preference_settings {
    double beta            = 0.1;  // how far from the base it is worth going: less goes further
    double label_smoothing = 0;    // share of pairs that are thought to be the wrong way round (cDPO, E. Mitchell), below 0.5
    double sft_weight      = 0;    // of the chosen answer's mean loss by token, added (as in RPO, arXiv 2404.19733)
};

// Sums over pairs. A reward is beta * (log probability of an answer - the same of the base).
struct preference_sums {
    int64_t pairs = 0;
    double  loss = 0, right = 0;  // right: pairs whose chosen answer has the higher reward
    double  chosen_reward = 0, rejected_reward = 0;
};

// Adds a batch's pairs. row_losses: [rows], -log of the label's probability, with the adapter and (of_base) without it.
void add_preferences(preference_sums & sums, const packed_batch & packed, const std::vector<float> & row_losses, const std::vector<float> & of_base, const preference_settings & settings);

// d (factor * sum over the batch's pairs of their losses) / d row_losses. Of a pair, with h = beta * (log p(chosen) / base's - log p(rejected) / base's), sums over learnt tokens:
//   -(1 - smoothing) log sigmoid(h) - smoothing log sigmoid(-h) + sft_weight * mean loss of the chosen answer
std::vector<float> preference_weights(const packed_batch & packed, const std::vector<float> & row_losses, const std::vector<float> & of_base, const preference_settings & settings, double factor);

}  // namespace moebius
