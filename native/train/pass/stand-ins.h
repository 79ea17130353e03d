// What stands for experts that a token does not use: running averages of what they gave to those that did (Default MoE, A. Panda et al., "Dense Backpropagation Improves Training for Sparse
// Mixture-of-Experts", arXiv 2504.12463).
#pragma once

#include "train/graph/float-rows.h"

#include <cstdint>
#include <vector>

namespace moebius {

class stand_ins {
  public:
    // All 0. beta: the share that a step keeps.
    stand_ins(int64_t layers, int64_t experts, int64_t n_embd, double beta);

    // Of a layer: [n_embd][experts], as a matrix that experts' weights go through.
    const std::vector<float> & of_layer(int64_t layer) const { return averages[size_t(layer)]; }

    // Outputs of a step's tokens, not weighed: [experts][n_embd] sums, and how many tokens each expert had.
    void note(int64_t layer, const float_rows & sums, const std::vector<int64_t> & tokens);

    // Behind a step: average = beta * average + (1 - beta) * the step's mean, of experts that had tokens.
    void follow();
    // What was noted since.
    void forget();

    // [layers] of them, to save. Throws user_error request.invalid: of another model, or of a run without them.
    const std::vector<std::vector<float>> & state() const { return averages; }
    void                                    restore(std::vector<std::vector<float>> state);

  private:
    int64_t                           experts = 0, n_embd = 0;
    double                            beta = 0;
    std::vector<std::vector<float>>   averages;
    std::vector<std::vector<double>>  sums;    // [layers][experts * n_embd], of the step
    std::vector<std::vector<int64_t>> counts;  // [layers][experts]
};

}  // namespace moebius
