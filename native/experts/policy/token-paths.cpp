#include "token-paths.h"

#include "gate-confidence.h"

#include <algorithm>

namespace moebius {

namespace {

constexpr double   share_fading       = 0.995;  // of the average, per token
constexpr double   share_weight       = 1.0;    // tokens that the average weighs against what was seen of a token
constexpr uint16_t seen_most   = 64;     // older experience fades beyond it
constexpr size_t   sample_most = 64;     // tokens of a batch

}  // namespace

token_paths::token_paths(uint32_t layers, uint32_t experts, uint32_t used, uint64_t most_bytes)
    : layers(layers), experts(experts), each(std::min(2 * used, experts)), shares(size_t(layers) * experts, double(used) / std::max(1u, experts)) {
    const uint64_t bytes = uint64_t(layers) * (each * sizeof(count) + sizeof(uint16_t)) + sizeof(int32_t);
    most                 = uint32_t(std::clamp<uint64_t>(most_bytes / std::max<uint64_t>(bytes, 1), 1, 1u << 20));
}

uint32_t token_paths::place_of(int32_t token) {
    const auto known = places.find(token);
    if (known != places.end()) {
        return known->second;
    }
    const uint32_t place = next++ % most;
    if (place < tokens.size()) {
        places.erase(tokens[place]);
        std::fill_n(counts_of(place, 0), size_t(layers) * each, count());
        std::fill_n(seen.begin() + ptrdiff_t(size_t(place) * layers), layers, uint16_t(0));
        tokens[place] = token;
    } else {
        tokens.push_back(token);
        counts.resize(tokens.size() * layers * each);
        seen.resize(tokens.size() * layers);
    }
    places[token] = place;
    return place;
}

// The rarest makes room.
void token_paths::add(uint32_t place, uint32_t layer, uint16_t expert) {
    count * own    = counts_of(place, layer);
    count * rarest = own;
    for (count * one = own; one < own + each; one++) {
        if (one->times > 0 && one->expert == expert) {
            one->times++;
            return;
        }
        rarest = one->times < rarest->times ? one : rarest;
    }
    *rarest = { expert, 1 };
}

void token_paths::learn(uint32_t layer, const std::vector<int32_t> & batch, const std::vector<int32_t> & chosen) {
    const size_t used = batch.empty() ? 0 : chosen.size() / batch.size();
    double *     average = &shares[size_t(layer) * experts];
    for (size_t t = 0; t < batch.size(); t++) {
        const uint32_t place = place_of(batch[t]);
        uint16_t &     times = seen[size_t(place) * layers + layer];
        for (uint32_t e = 0; e < experts; e++) {
            average[e] *= share_fading;
        }
        for (size_t k = 0; k < used; k++) {
            const int32_t expert = chosen[t * used + k];
            if (expert >= 0 && uint32_t(expert) < experts) {
                add(place, layer, uint16_t(expert));
                average[expert] += 1.0 - share_fading;
            }
        }
        if (++times > seen_most) {
            times /= 2;
            std::for_each(counts_of(place, layer), counts_of(place, layer) + each, [](count & one) { one.times /= 2; });
        }
    }
}

void token_paths::chances(uint32_t layer, int32_t token, float * into) const {
    const double * average = &shares[size_t(layer) * experts];
    const auto     known   = places.find(token);
    const size_t   row     = known == places.end() ? 0 : size_t(known->second) * layers + layer;
    const double   times   = known == places.end() ? 0.0 : double(seen[row]);
    for (uint32_t e = 0; e < experts; e++) {
        into[e] = float(std::min(1.0, share_weight * average[e] / (times + share_weight)));
    }
    for (uint32_t k = 0; known != places.end() && k < each; k++) {
        const count & one = counts[row * each + k];
        into[one.expert]  = float(std::min(1.0, into[one.expert] + double(one.times) / (times + share_weight)));
    }
}

std::vector<foreseen_use> token_paths::foresee(uint32_t layer, const std::vector<int32_t> & batch) const {
    const size_t        sample = std::min(batch.size(), sample_most);
    std::vector<double> missed(experts, 1.0);
    std::vector<float>  own(experts);
    for (size_t i = 0; i < sample; i++) {
        chances(layer, batch[i * batch.size() / sample], own.data());
        for (uint32_t e = 0; e < experts; e++) {
            missed[e] *= 1.0 - double(own[e]);
        }
    }
    return foreseen_by_batch(missed, sample, batch.size());
}

}  // namespace moebius
