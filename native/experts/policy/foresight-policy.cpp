#include "foresight-policy.h"

#include <algorithm>
#include <cmath>

namespace moebius {

namespace {

constexpr double decay         = 0.95;  // of uses, per batch; as "lrfu"
constexpr double doubt         = 1.0;   // uses that the decayed share weighs against what was seen to follow
constexpr double chain_weight  = 0.5;   // of the chain against the share when a resident has to leave
constexpr double learning_rate = 0.01;
constexpr double least_chance  = 1e-4;  // a logarithm needs a floor

double log_of(double chance) {
    return std::log(std::max(chance, least_chance));
}

}  // namespace

foresight_policy::foresight_policy(const expert_cache_shape & shape)
    : experts(shape.experts), layers(shape.layers), recent(size_t(shape.layers) * shape.experts, 0.0), values(recent), follows(shape.experts), goes_with(shape.experts), rows(shape.experts * inputs) {
    for (layer_state & state : layers) {
        const double start[inputs] = { 1.0, 1.0, 0.0, 0.0, 0.0 };
        std::copy(start, start + inputs, state.weights);
    }
    for (chain * links : { &in_layer, &from_below }) {
        links->counts.resize(recent.size());
        links->given.assign(recent.size(), 0.0f);
    }
}

// For the lowest layer, the highest one of the token before.
const std::vector<uint32_t> & foresight_policy::below(uint32_t layer) const {
    return layers[layer > 0 ? layer - 1 : layers.size() - 1].last;
}

bool foresight_policy::few_tokens(layer_state & state, const std::vector<expert_use> & uses) const {
    uint64_t choices = 0;
    for (const expert_use & use : uses) {
        choices += use.tokens;
    }
    state.least_choices = std::min(state.least_choices, choices);
    return choices <= 4 * state.least_choices && 2 * uses.size() <= experts;
}

// Of the late batches, those that used it.
double foresight_policy::share(expert_ref expert) const {
    return recent[at(expert)] * (1.0 - decay);
}

// into[e]: logarithm of the chance of e behind `given`, the mean over them; that of the share where nothing is known.
void foresight_policy::chances(const chain & links, uint32_t layer, const std::vector<uint32_t> & given, std::vector<double> & into) const {
    for (uint32_t e = 0; e < experts; e++) {
        into[e] = given.empty() ? log_of(share({ layer, e })) : 0.0;
    }
    for (const uint32_t one : given) {
        const size_t               row    = at({ layer, one });
        const std::vector<float> & counts = links.counts[row];
        const double               times  = double(links.given[row]) + doubt;
        for (uint32_t e = 0; e < experts; e++) {
            const double seen = counts.empty() ? 0.0 : double(counts[e]);
            into[e] += log_of((seen + doubt * share({ layer, e })) / times) / double(given.size());
        }
    }
}

void foresight_policy::add_links(chain & links, uint32_t layer, const std::vector<uint32_t> & given, const std::vector<expert_use> & following) {
    for (const uint32_t one : given) {
        const size_t row = at({ layer, one });
        links.counts[row].resize(experts, 0.0f);
        links.given[row] += 1.0f;
        for (const expert_use & use : following) {
            links.counts[row][use.expert] += 1.0f;
        }
    }
}

void foresight_policy::read_inputs(uint32_t layer) {
    const std::vector<uint32_t> & last = layers[layer].last;
    chances(in_layer, layer, last, follows);
    chances(from_below, layer, below(layer), goes_with);
    for (uint32_t e = 0; e < experts; e++) {
        double * row = &rows[e * inputs];
        row[0]       = log_of(share({ layer, e }));
        row[1]       = goes_with[e];
        row[2]       = follows[e];
        row[3]       = 0.0;
        row[4]       = 1.0;
    }
    for (const uint32_t e : last) {
        rows[e * inputs + 3] = 1.0;
    }
}

double foresight_policy::probability(uint32_t layer, uint32_t expert) const {
    double sum = 0.0;
    for (size_t i = 0; i < inputs; i++) {
        sum += layers[layer].weights[i] * rows[expert * inputs + i];
    }
    return 1.0 / (1.0 + std::exp(-sum));
}

// One step down the gradient of the logarithmic loss, all experts of the layer at once.
void foresight_policy::learn(uint32_t layer, const std::vector<expert_use> & uses) {
    read_inputs(layer);
    std::vector<double> wrong(experts, 0.0);
    for (const expert_use & use : uses) {
        wrong[use.expert] = 1.0;
    }
    for (uint32_t e = 0; e < experts; e++) {
        wrong[e] -= probability(layer, e);
    }
    for (uint32_t e = 0; e < experts; e++) {
        for (size_t i = 0; i < inputs; i++) {
            layers[layer].weights[i] += learning_rate * wrong[e] * rows[e * inputs + i];
        }
    }
}

void foresight_policy::used(uint32_t layer, const std::vector<expert_use> & uses) {
    layer_state & state = layers[layer];
    const bool    few   = few_tokens(state, uses);
    if (few) {
        learn(layer, uses);
        add_links(from_below, layer, below(layer), uses);
        add_links(in_layer, layer, state.last, uses);
    }
    state.last.clear();
    for (uint32_t e = 0; e < experts; e++) {
        recent[at({ layer, e })] *= decay;
    }
    for (const expert_use & use : uses) {
        recent[at({ layer, use.expert })] += 1.0;
        if (few) {
            state.last.push_back(use.expert);
        }
    }
    chances(in_layer, layer, state.last, follows);
    for (uint32_t e = 0; e < experts; e++) {
        values[at({ layer, e })] = log_of(share({ layer, e })) + chain_weight * follows[e];
    }
}

std::vector<foreseen_use> foresight_policy::foresee(uint32_t layer) {
    read_inputs(layer);
    std::vector<foreseen_use> all(experts);
    for (uint32_t e = 0; e < experts; e++) {
        all[e]                   = { e, probability(layer, e) };
        values[at({ layer, e })] = all[e].probability;
    }
    std::sort(all.begin(), all.end(), [](const foreseen_use & a, const foreseen_use & b) {
        return a.probability != b.probability ? a.probability > b.probability : a.expert < b.expert;
    });
    return all;
}

}  // namespace moebius
