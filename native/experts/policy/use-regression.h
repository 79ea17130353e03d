// How probable it is that the next batch uses an expert of a layer, learnt while the model runs. Pure.
#pragma once

#include "cache-policy.h"

#include <array>

namespace moebius {

// A logistic regression over one layer's experts: the log-odds that expert e is used are
//     sum_i weight[i] * row[e][i] + sum_s sum_{g in given[s]} pair[s][g][e],
// a few inputs with weights that all experts share, and a weight for every pair of a given expert and e. Each batch is one step down the gradient of the
// logarithmic loss: of fixed length for the inputs, and by AdaGrad (Duchi et al., JMLR 12, 2011) for the pairs, of which a few come up often and most seldom.
//
// Memory: 8 * experts bytes for each expert that was given by each source.
class use_regression {
  public:
    static constexpr size_t inputs  = 6;
    static constexpr size_t sources = 2;

    // Experts that are known already, by where they are known from: of this layer or of another one.
    using given_experts = std::array<const std::vector<uint32_t> *, sources>;

    // `start`: the weights of the inputs before anything was learnt.
    use_regression(uint32_t experts, const std::array<double, inputs> & start);

    // [expert], 0..1. `rows`: [expert][inputs].
    std::vector<double> probabilities(const std::vector<double> & rows, const given_experts & given) const;

    // The same rows and experts were followed by `uses`.
    void learn(const std::vector<double> & rows, const given_experts & given, const std::vector<expert_use> & uses);

  private:
    struct pair_weight {
        float weight  = 0.0f;
        float squares = 1e-4f;  // sum of squared gradients
    };

    uint32_t                              experts;
    std::array<double, inputs>            weights;
    std::vector<std::vector<pair_weight>> pairs;  // [source * experts + given][expert]; an empty row: never given
};

}  // namespace moebius
