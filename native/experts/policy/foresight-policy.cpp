#include "foresight-policy.h"

#include <algorithm>
#include <cmath>

namespace moebius {

namespace {

constexpr double decay         = 0.95;  // of uses, per batch; as "lrfu"
constexpr double lasting_decay = 0.999;
constexpr double doubt         = 1.0;   // uses that the decayed share weighs against what was seen to follow
constexpr double chain_weight  = 0.5;   // of the chain against the share when a resident has to leave
constexpr double lasting_value = 0.2;   // of the share against the next batch's probability, when a resident has to leave for a read ahead
constexpr double least_chance  = 1e-4;  // a logarithm needs a floor

double log_of(double chance) {
    return std::log(std::max(chance, least_chance));
}

}  // namespace

foresight_policy::foresight_policy(const expert_cache_shape & shape)
    : experts(shape.experts),
      recent(size_t(shape.layers) * shape.experts, 0.0),
      lasting(recent),
      values(recent),
      follows(shape.experts),
      goes_with(shape.experts),
      rows(shape.experts * use_regression::inputs) {
    const std::array<double, use_regression::inputs> start = { 1.0, 1.0, 0.0, 0.0, 0.0, 0.0 };  // of late, and with the layer below
    layers.assign(shape.layers, { {}, use_regression(experts, start) });
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
        double * row = &rows[e * use_regression::inputs];
        row[0]       = log_of(share({ layer, e }));
        row[1]       = goes_with[e];
        row[2]       = follows[e];
        row[3]       = log_of(lasting[at({ layer, e })] / std::max(1.0, layers[layer].batches));
        row[4]       = 0.0;
        row[5]       = 1.0;
    }
    for (const uint32_t e : last) {
        rows[e * use_regression::inputs + 4] = 1.0;
    }
}

void foresight_policy::used(uint32_t layer, const std::vector<expert_use> & uses) {
    layer_state & state = layers[layer];
    const bool    few   = few_tokens(state, uses);
    if (few) {
        read_inputs(layer);
        state.regression.learn(rows, given(layer), uses);
        add_links(from_below, layer, below(layer), uses);
        add_links(in_layer, layer, state.last, uses);
    }
    state.last.clear();
    state.batches = state.batches * lasting_decay + 1.0;
    for (uint32_t e = 0; e < experts; e++) {
        recent[at({ layer, e })] *= decay;
        lasting[at({ layer, e })] *= lasting_decay;
    }
    for (const expert_use & use : uses) {
        recent[at({ layer, use.expert })] += 1.0;
        lasting[at({ layer, use.expert })] += 1.0;
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
    const std::vector<double> probabilities = layers[layer].regression.probabilities(rows, given(layer));
    std::vector<foreseen_use> all(experts);
    for (uint32_t e = 0; e < experts; e++) {
        all[e]                   = { e, probabilities[e] };
        values[at({ layer, e })] = (1.0 - lasting_value) * probabilities[e] + lasting_value * share({ layer, e });
    }
    std::sort(all.begin(), all.end(), [](const foreseen_use & a, const foreseen_use & b) {
        return a.probability != b.probability ? a.probability > b.probability : a.expert < b.expert;
    });
    return all;
}

}  // namespace moebius
