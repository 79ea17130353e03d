#include "stand-ins.h"

#include "rpc/errors.h"

#include <algorithm>

namespace moebius {

stand_ins::stand_ins(int64_t layers, int64_t of_experts, int64_t numbers, double kept)
    : experts(of_experts),
      n_embd(numbers),
      beta(kept),
      averages(size_t(layers), std::vector<float>(size_t(of_experts * numbers), 0.0f)),
      sums(size_t(layers), std::vector<double>(size_t(of_experts * numbers), 0.0)),
      counts(size_t(layers), std::vector<int64_t>(size_t(of_experts), 0)) {}

void stand_ins::note(int64_t layer, const float_rows & of, const std::vector<int64_t> & tokens) {
    std::vector<double> &  sum   = sums[size_t(layer)];
    std::vector<int64_t> & count = counts[size_t(layer)];
    for (size_t i = 0; i < sum.size(); i++) {
        sum[i] += double(of[i]);
    }
    for (size_t expert = 0; expert < count.size(); expert++) {
        count[expert] += tokens[expert];
    }
}

void stand_ins::follow() {
    for (size_t layer = 0; layer < averages.size(); layer++) {
        for (int64_t expert = 0; expert < experts; expert++) {
            const int64_t count = counts[layer][size_t(expert)];
            for (int64_t i = 0; i < n_embd && count > 0; i++) {
                float & average = averages[layer][size_t(i * experts + expert)];
                average         = float(beta * double(average) + (1 - beta) * sums[layer][size_t(expert * n_embd + i)] / double(count));
            }
        }
    }
    forget();
}

void stand_ins::forget() {
    for (size_t layer = 0; layer < averages.size(); layer++) {
        std::fill(sums[layer].begin(), sums[layer].end(), 0.0);
        std::fill(counts[layer].begin(), counts[layer].end(), 0);
    }
}

void stand_ins::restore(std::vector<std::vector<float>> state) {
    const auto same = [](const std::vector<float> & a, const std::vector<float> & b) { return a.size() == b.size(); };
    if (!std::equal(state.begin(), state.end(), averages.begin(), averages.end(), same)) {
        throw user_error("request.invalid", "The checkpoint has other stand-ins of experts than these settings. Resume with the settings that it was made with.", {});
    }
    averages = std::move(state);
    forget();
}

}  // namespace moebius
