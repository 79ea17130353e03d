#include "preference.h"

#include <cmath>
#include <numeric>

namespace moebius {

namespace {

double sum_of(const packed_sequence & sequence, const std::vector<float> & row_losses) {
    const auto begin = row_losses.begin() + ptrdiff_t(sequence.first_target);
    return std::accumulate(begin, begin + ptrdiff_t(sequence.targets), 0.0);
}

double reward(const packed_sequence & sequence, const std::vector<float> & row_losses, const std::vector<float> & of_base, double beta) {
    return beta * (sum_of(sequence, of_base) - sum_of(sequence, row_losses));
}

// -log(sigmoid(x))
double softplus_of_minus(double x) { return x > 0 ? std::log1p(std::exp(-x)) : -x + std::log1p(std::exp(x)); }

double sigmoid(double x) { return x > 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x)); }

}  // namespace

void add_preferences(preference_sums & sums, const packed_batch & packed, const std::vector<float> & row_losses, const std::vector<float> & of_base, const preference_settings & settings) {
    for (const packed_pair & pair : packed.pairs) {
        const packed_sequence &chosen = packed.sequences[pair.chosen], &rejected = packed.sequences[pair.rejected];
        const double           of_chosen = reward(chosen, row_losses, of_base, settings.beta), of_rejected = reward(rejected, row_losses, of_base, settings.beta);
        const double           h = of_chosen - of_rejected;
        sums.pairs++;
        sums.loss += (1 - settings.label_smoothing) * softplus_of_minus(h) + settings.label_smoothing * softplus_of_minus(-h);
        sums.loss += settings.sft_weight * sum_of(chosen, row_losses) / double(chosen.targets);
        sums.right += h > 0 ? 1 : 0;
        sums.chosen_reward += of_chosen;
        sums.rejected_reward += of_rejected;
    }
}

std::vector<float> preference_weights(const packed_batch & packed, const std::vector<float> & row_losses, const std::vector<float> & of_base, const preference_settings & settings, double factor) {
    std::vector<float> weights(row_losses.size(), 0.0f);
    for (const packed_pair & pair : packed.pairs) {
        const packed_sequence &chosen = packed.sequences[pair.chosen], &rejected = packed.sequences[pair.rejected];
        const double           h     = reward(chosen, row_losses, of_base, settings.beta) - reward(rejected, row_losses, of_base, settings.beta);
        const double           slope = settings.beta * (sigmoid(-h) - settings.label_smoothing);  // -beta d loss / d h
        const auto             fill  = [&](const packed_sequence & sequence, double weight) {
            const auto begin = weights.begin() + ptrdiff_t(sequence.first_target);
            std::fill(begin, begin + ptrdiff_t(sequence.targets), float(factor * weight));
        };
        fill(chosen, slope + settings.sft_weight / double(chosen.targets));
        fill(rejected, -slope);
    }
    return weights;
}

}  // namespace moebius
