// How far the distributions of next tokens are from those of another run, and from the tokens that came.
#pragma once

#include "device-runs.h"

#include <numeric>

namespace moebius_test {

inline std::vector<double> probabilities(const std::vector<float> & logits) {
    const double        most = *std::max_element(logits.begin(), logits.end());
    std::vector<double> values;
    for (const float logit : logits) {
        values.push_back(std::exp(logit - most));
    }
    const double sum = std::accumulate(values.begin(), values.end(), 0.0);
    for (double & value : values) {
        value /= sum;
    }
    return values;
}

// Kullback-Leibler, nats a token.
inline double divergence(const device_outcome & from, const device_outcome & other) {
    double sum = 0;
    for (size_t i = 0; i < from.logits.size(); i++) {
        const auto p = probabilities(from.logits[i]), q = probabilities(other.logits[i]);
        for (size_t j = 0; j < p.size(); j++) {
            sum += p[j] > 0 ? p[j] * std::log(p[j] / std::max(q[j], 1e-30)) : 0;
        }
    }
    return sum / double(from.logits.size());
}

// Of the tokens that came.
inline double perplexity(const device_outcome & outcome, const std::vector<llama_token> & tokens) {
    double sum = 0;
    for (size_t i = 0; i < tokens.size(); i++) {
        sum -= std::log(probabilities(outcome.logits[i])[size_t(tokens[i])]);
    }
    return std::exp(sum / double(tokens.size()));
}

}  // namespace moebius_test
