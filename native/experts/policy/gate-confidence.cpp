#include "gate-confidence.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace moebius {

namespace {

constexpr double confidence_rate = 0.1;
constexpr double farthest = 3.0;   // standard deviations
constexpr double chance_floor  = 1e-3;  // log-odds need a floor

}  // namespace

gate_confidence::gate_confidence(uint32_t experts, uint32_t used) : experts(experts), used(std::min(used, experts)), sorted(experts) {}

// into: [experts][inputs]
void gate_confidence::measure(const float * scores, const float * past, float * into) {
    double sum = 0.0, sum_of_squares = 0.0;
    size_t finite = 0;
    for (uint32_t e = 0; e < experts; e++) {
        if (std::isfinite(scores[e])) {  // those of groups that are left out are not
            sum += scores[e];
            sum_of_squares += double(scores[e]) * scores[e];
            finite++;
        }
    }
    const double mean      = finite > 0 ? sum / double(finite) : 0.0;
    const double deviation = finite > 0 ? std::sqrt(std::max(sum_of_squares / double(finite) - mean * mean, 1e-20)) : 1.0;
    std::copy(scores, scores + experts, sorted.begin());
    const auto inside = sorted.begin() + std::max<ptrdiff_t>(0, ptrdiff_t(used) - 1);
    std::nth_element(sorted.begin(), inside, sorted.end(), std::greater<float>());
    const double least_in = *inside;
    const double best_out = used < experts ? *std::max_element(inside + 1, sorted.end()) : least_in;
    const double boundary = std::isfinite(best_out) ? (least_in + best_out) / 2 : least_in;
    for (uint32_t e = 0; e < experts; e++) {
        const double from   = (scores[e] - boundary) / deviation;
        const double chance = std::clamp(double(past[e]), chance_floor, 1.0 - chance_floor);
        float *      row    = into + size_t(e) * inputs;
        row[0]              = float(std::isfinite(from) ? std::clamp(from, -farthest, farthest) : -farthest);
        row[1]              = float(std::log(chance / (1.0 - chance)));
        row[2]              = 1.0f;
    }
}

double gate_confidence::probability(const float * row) const {
    double sum = 0.0;
    for (uint32_t i = 0; i < inputs; i++) {
        sum += weights[i] * row[i];
    }
    return 1.0 / (1.0 + std::exp(-sum));
}

std::vector<foreseen_use> gate_confidence::foresee(const std::vector<float> & scores, const std::vector<float> & past, uint64_t batch_tokens) {
    const size_t tokens = scores.size() / experts;
    rows.resize(scores.size() * inputs);
    std::vector<double> missed(experts, 1.0);
    for (size_t t = 0; t < tokens; t++) {
        measure(&scores[t * experts], &past[t * experts], &rows[t * experts * inputs]);
        for (uint32_t e = 0; e < experts; e++) {
            missed[e] *= 1.0 - probability(&rows[(t * experts + e) * inputs]);
        }
    }
    return foreseen_by_batch(missed, tokens, batch_tokens);
}

void gate_confidence::learn(const std::vector<int32_t> & chosen) {
    const size_t tokens = rows.size() / (size_t(experts) * inputs);
    if (tokens == 0 || chosen.size() % tokens != 0) {
        return;
    }
    const size_t each = chosen.size() / tokens;
    double       gradient[inputs] = {};
    for (size_t t = 0; t < tokens; t++) {
        std::vector<bool> taken(experts, false);
        for (size_t k = 0; k < each; k++) {
            taken[size_t(std::max(0, chosen[t * each + k]))] = true;
        }
        for (uint32_t e = 0; e < experts; e++) {
            const float * row   = &rows[(t * experts + e) * inputs];
            const double  wrong = (taken[e] ? 1.0 : 0.0) - probability(row);
            for (uint32_t i = 0; i < inputs; i++) {
                gradient[i] += wrong * row[i] / double(tokens);
            }
        }
    }
    for (uint32_t i = 0; i < inputs; i++) {
        squares[i] += gradient[i] * gradient[i];
        weights[i] += confidence_rate * gradient[i] / std::sqrt(squares[i]);
    }
    rows.clear();
}

std::vector<foreseen_use> foreseen_by_batch(const std::vector<double> & missed, uint64_t sample, uint64_t batch_tokens) {
    const double              power = double(batch_tokens) / double(std::max<uint64_t>(sample, 1));
    std::vector<foreseen_use> all(missed.size());
    for (uint32_t e = 0; e < all.size(); e++) {
        all[e] = { e, 1.0 - (power == 1.0 ? missed[e] : std::pow(missed[e], power)) };
    }
    std::sort(all.begin(), all.end(), [](const foreseen_use & a, const foreseen_use & b) {
        return a.probability != b.probability ? a.probability > b.probability : a.expert < b.expert;
    });
    return all;
}

}  // namespace moebius
