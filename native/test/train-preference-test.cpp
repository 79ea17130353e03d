// DPO: its loss by hand, its gradients as differences of it, and that a batch's other sequences are left alone.
#include "model/backends.h"
#include "small-base.h"
#include "train/run/preference.h"
#include "trainee.h"

#include <llama.h>

#include <cmath>
#include <cstdio>
#include <random>

using namespace moebius;
using namespace moebius_test;

namespace {

// Losses in F32 are known to about 1e-6, of which a reward sums some; along its gradient the loss changes by 1e-3 and more.
constexpr double slope_tolerance = 5e-3;

dataset_sequence sequence_of(std::mt19937 & random, size_t tokens) {
    dataset_sequence sequence;
    for (size_t i = 0; i < tokens; i++) {
        sequence.tokens.push_back(int32_t(random() % 300));
        sequence.learnt.push_back(i >= 3 ? 1 : 0);
    }
    return sequence;
}

// Two pairs of answers of different lengths.
packed_batch two_pairs() {
    std::mt19937                 random(3);
    std::vector<dataset_example> examples(2);
    for (dataset_example & example : examples) {
        example.entry.prompt = 3;
        example.sequences    = { sequence_of(random, 7 + random() % 4), sequence_of(random, 5) };
    }
    return pack(examples, 64, target_weighting::tokens);
}

void loss_is_the_papers() {
    const packed_batch  packed = two_pairs();
    std::vector<float>  losses(packed.batch.rows.size()), of_base(losses.size());
    std::mt19937        random(8);
    double              log_ratio[4] = {}, chosen_mean[2] = {};
    for (size_t s = 0; s < 4; s++) {
        const packed_sequence & sequence = packed.sequences[s];
        for (int64_t i = sequence.first_target; i < sequence.first_target + sequence.targets; i++) {
            losses[size_t(i)]  = float(random() % 100) / 20;
            of_base[size_t(i)] = float(random() % 100) / 20;
            log_ratio[s] += double(of_base[size_t(i)]) - double(losses[size_t(i)]);
            chosen_mean[s / 2] += s % 2 == 0 ? double(losses[size_t(i)]) / double(sequence.targets) : 0;
        }
    }
    const preference_settings settings{ 0.3, 0.1, 0.5 };
    preference_sums           sums;
    add_preferences(sums, packed, losses, of_base, settings);
    double loss = 0, right = 0;
    for (size_t p = 0; p < 2; p++) {
        const double p_right = 1 / (1 + std::exp(-0.3 * (log_ratio[2 * p] - log_ratio[2 * p + 1])));
        loss += -0.9 * std::log(p_right) - 0.1 * std::log(1 - p_right) + 0.5 * chosen_mean[p];
        right += p_right > 0.5 ? 1 : 0;
    }
    CHECK_EQUAL(sums.pairs, 2);
    CHECK_NEAR(sums.loss, loss, 1e-9);
    CHECK_NEAR(sums.right, right, 0);
    CHECK_NEAR(sums.chosen_reward, 0.3 * (log_ratio[0] + log_ratio[2]), 1e-9);
    CHECK_NEAR(sums.rejected_reward, 0.3 * (log_ratio[1] + log_ratio[3]), 1e-9);
    // its derivatives by differences
    const std::vector<float> weights = preference_weights(packed, losses, of_base, settings, 0.5);
    for (size_t row = 0; row < losses.size(); row++) {
        const float at = losses[row];
        double      ends[2];
        for (const int sign : { 0, 1 }) {
            preference_sums there;
            losses[row] = at + (sign ? 0.01f : -0.01f);
            add_preferences(there, packed, losses, of_base, settings);
            ends[sign] = there.loss;
        }
        losses[row] = at;
        CHECK_NEAR(double(weights[row]), 0.5 * (ends[1] - ends[0]) / 0.02, 1e-4);
    }
}

// Before the first step adapter and base are the same: no rewards, log 2 for each pair, no pair is right.
void a_new_adapter_knows_nothing(const std::string & path, const adapter_settings & how) {
    trainee            all(path, how);
    const packed_batch packed = two_pairs();
    const auto         losses = all.pass.forward(packed.batch).row_losses, of_base = all.pass.forward(packed.batch, false).row_losses;
    CHECK(losses == of_base);
    preference_sums sums;
    add_preferences(sums, packed, losses, of_base, {});
    CHECK_NEAR(sums.loss, 2 * std::log(2.0), 1e-12);
    CHECK_NEAR(sums.right + sums.chosen_reward + sums.rejected_reward, 0, 0);
}

// Along the gradient of each parameter, the base's part held.
void gradients_are_those_of_the_loss(const std::string & path, const adapter_settings & how) {
    trainee            all(path, how);
    const packed_batch packed  = two_pairs();
    const auto         of_base = all.pass.forward(packed.batch).row_losses;
    const preference_settings settings{ 0.5, 0.1, 0.2 };
    all.disturb();
    CHECK(all.pass.forward(packed.batch, false).row_losses == of_base);  // the base, whatever the adapter has
    all.pass.forward_backward(packed.batch, {}, all.trained, 0, [&](const std::vector<float> & losses) { return preference_weights(packed, losses, of_base, settings, 1); });
    const auto loss_at = [&](train_parameter & parameter, const std::vector<float> & at, double reach) {
        for (size_t i = 0; i < at.size(); i++) {
            parameter.values[i] = float(double(at[i]) + reach * double(parameter.gradient[i]));
        }
        all.pass.write(all.trained);
        preference_sums sums;
        add_preferences(sums, packed, all.pass.forward(packed.batch).row_losses, of_base, settings);
        return sums.loss;
    };
    double worst = 0;
    for (train_parameter & parameter : all.trained.parameters) {
        const std::vector<float> at = parameter.values;
        double                   square = 0;
        for (const float value : parameter.gradient) {
            square += double(value) * double(value);
        }
        const double length = std::sqrt(square), reach = 2e-3 / length;
        const double slope = (loss_at(parameter, at, reach) - loss_at(parameter, at, -reach)) / (2 * reach) / length;
        parameter.values   = at;
        worst              = std::max(worst, std::fabs(slope - length) / length);
        CHECK_NEAR(slope / length, 1, slope_tolerance + loss_rounding / (reach * length * length));
    }
    std::fprintf(stderr, "slopes of DPO along %zu gradients within %.1e of their lengths\n", all.trained.parameters.size(), worst);
}

}  // namespace

int main() {
    backends_load();
    llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
    loss_is_the_papers();
    adapter_settings everything;
    everything.attention = everything.experts = everything.router = { 4, 8, false, 0 };
    everything.seed                                                  = 3;
    const std::string path = write_small_base(small_bases().front());
    a_new_adapter_knows_nothing(path, everything);
    gradients_are_those_of_the_loss(path, everything);
    std::remove(path.c_str());
    return check_result();
}
