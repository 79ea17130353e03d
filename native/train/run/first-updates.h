// Whether a run's first updates move what they should: what is not wired into the graph, or left out by the optimiser, would stay as it is and nobody would see it.
#pragma once

#include "train/adapter/movement.h"
#include "train/data/token-batch.h"

namespace moebius {

// Tokens that predict something from more than themselves; without any, attention learns nothing.
int64_t attending_tokens(const token_batch & batch);

struct seen_update {
    int64_t number = 0;  // from 0: updates before it
    const std::vector<std::vector<float>> &   before;         // [parameters] values
    const std::vector<std::vector<int64_t>> & learnt_tokens;  // [layers][experts], of the step: those that its loss depends on
    int64_t     attending        = 0;
    bool        has_pairs        = false;  // what two answers begin with alike is learnt and unlearnt alike: in the last layer it may add up to nothing
    bool        are_counts_drawn = false;  // of experts that a token uses: where it is one, its weight may always be 1, and the router learns nothing of it
    double      plain_rate = 0;  // of an optimiser that moves a number by rate * gradient, which may be too little for a float; 0: of one whose steps don't depend on the gradient's size
};

constexpr int64_t checked_updates = 2;

// After the first update every lora_b and every whole tensor should have moved, after the second every lora_a, whose b is not zero any more. What has a gradient and did not, and what has none though it should: whole
// parameters; of experts those that came by tokens that the loss depends on, or whose other matrices have a gradient. Gradients of `of` are still those of the step. Experts by their numbers in the base.
std::vector<unmoved_part> unmoved_by(const seen_update & update, const adapter & of);

}  // namespace moebius
