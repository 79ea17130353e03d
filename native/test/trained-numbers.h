// Made parameters with gradients, for tests of what is done to them.
#pragma once

#include "train/adapter/adapter.h"

#include <random>

namespace moebius_test {

using namespace moebius;

// Normally distributed values. Gradients: the same, of sizes that differ by the factor 10^`decades` from number to number.
inline train_parameter made_parameter(const std::string & name, int64_t n0, int64_t n1, int64_t n2, uint32_t seed, float decades = 2) {
    std::mt19937                          random(seed);
    std::normal_distribution<float>       normal;
    std::uniform_real_distribution<float> uniform(0, 1);
    train_parameter                       parameter{ name, n0, n1, n2, {}, {} };
    for (int64_t i = 0; i < n0 * n1 * n2; i++) {
        parameter.values.push_back(normal(random));
        parameter.gradient.push_back(normal(random) * std::pow(10.0f, -decades * uniform(random)));
    }
    return parameter;
}

// A matrix, a stack whose matrices don't fill their last blocks, a vector, and one of several chunks.
inline std::vector<train_parameter> made_parameters() {
    return { made_parameter("a", 40, 16, 1, 1), made_parameter("stack", 30, 10, 5, 2), made_parameter("norm", 70, 1, 1, 3), made_parameter("large", 300, 333, 1, 4) };
}

// Other gradients for another step; `step` is their seed.
inline void new_gradients(std::vector<train_parameter> & parameters, uint32_t step) {
    for (size_t p = 0; p < parameters.size(); p++) {
        train_parameter & parameter = parameters[p];
        parameter.gradient          = made_parameter("", parameter.n0, parameter.n1, parameter.n2, 100 * step + uint32_t(p)).gradient;
    }
}

}  // namespace moebius_test
