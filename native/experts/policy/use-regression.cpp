#include "use-regression.h"

#include <cmath>

namespace moebius {

namespace {

constexpr double input_rate = 0.01;
constexpr double pair_rate  = 0.1;

}  // namespace

use_regression::use_regression(uint32_t experts, const std::array<double, inputs> & start)
    : experts(experts), weights(start), pairs(sources * experts) {}

std::vector<double> use_regression::probabilities(const std::vector<double> & rows, const given_experts & given) const {
    std::vector<double> odds(experts, 0.0);
    for (uint32_t e = 0; e < experts; e++) {
        for (size_t i = 0; i < inputs; i++) {
            odds[e] += weights[i] * rows[e * inputs + i];
        }
    }
    for (size_t source = 0; source < sources; source++) {
        for (const uint32_t one : *given[source]) {
            const std::vector<pair_weight> & row = pairs[source * experts + one];
            for (uint32_t e = 0; e < row.size(); e++) {
                odds[e] += double(row[e].weight);
            }
        }
    }
    for (double & value : odds) {
        value = 1.0 / (1.0 + std::exp(-value));
    }
    return odds;
}

void use_regression::learn(const std::vector<double> & rows, const given_experts & given, const std::vector<expert_use> & uses) {
    std::vector<double> wrong = probabilities(rows, given);  // of each expert: what was seen less what was expected
    for (double & value : wrong) {
        value = -value;
    }
    for (const expert_use & use : uses) {
        wrong[use.expert] += 1.0;
    }
    for (uint32_t e = 0; e < experts; e++) {
        for (size_t i = 0; i < inputs; i++) {
            weights[i] += input_rate * wrong[e] * rows[e * inputs + i];
        }
    }
    for (size_t source = 0; source < sources; source++) {
        for (const uint32_t one : *given[source]) {
            std::vector<pair_weight> & row = pairs[source * experts + one];
            row.resize(experts);
            for (uint32_t e = 0; e < experts; e++) {
                row[e].squares += float(wrong[e] * wrong[e]);
                row[e].weight += float(pair_rate * wrong[e]) / std::sqrt(row[e].squares);
            }
        }
    }
}

}  // namespace moebius
