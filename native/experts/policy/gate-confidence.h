// What the scores of a router that was applied too early, and the past of a token, say together: the probability that each expert is
// chosen, learned from how it turned out. Pure.
#pragma once

#include "cache-policy.h"

namespace moebius {

// One router, from one distance: a logistic regression over how far an expert's score is from the boundary between those that would be
// chosen and the others (in standard deviations of the token's scores), and over what is known of the token without the router.
class gate_confidence {
  public:
    gate_confidence(uint32_t experts, uint32_t used);

    // Scores [tokens][experts], the higher the sooner chosen, of some tokens of a batch that has `batch_tokens`, and the probabilities
    // [tokens][experts] that the tokens' past gives: what the batch will use, most probable first. Remembered until `learn`.
    std::vector<foreseen_use> foresee(const std::vector<float> & scores, const std::vector<float> & past, uint64_t batch_tokens);

    // chosen: [tokens][used], what the same tokens used. One gradient step.
    void learn(const std::vector<int32_t> & chosen);

  private:
    static constexpr uint32_t inputs = 3;  // distance from the boundary, log-odds of the past, 1

    void   measure(const float * scores, const float * past, float * into);
    double probability(const float * row) const;

    uint32_t           experts, used;
    double             weights[inputs] = { 3.0, 0.5, 0.0 };
    double             squares[inputs] = { 0.01, 0.01, 0.01 };  // of the gradients (AdaGrad: Duchi et al. 2011)
    std::vector<float> rows;                                 // [tokens][experts][inputs] of the last batch
    std::vector<float> sorted;
};

// The probability that a batch uses each expert, from that of some of its tokens; most probable first. missed: [experts], the product over
// `sample` tokens of the probability that the token does not use it.
std::vector<foreseen_use> foreseen_by_batch(const std::vector<double> & missed, uint64_t sample, uint64_t batch_tokens);

}  // namespace moebius
