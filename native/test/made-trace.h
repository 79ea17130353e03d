// Traces made in memory.
#pragma once

#include "experts/simulate/trace.h"

#include <random>

namespace moebius_test {

// [token][layer] lists of experts; as many of each layer as the longest, others are filled up with "not computed".
using made_routing = std::vector<std::vector<std::vector<uint16_t>>>;

inline moebius::trace_record made_record(const moebius::router_shape & shape, uint32_t sequence, uint32_t position, const made_routing & tokens) {
    moebius::trace_record record;
    record.sequence       = sequence;
    record.first_position = position;
    record.tokens         = uint32_t(tokens.size());
    for (const auto & layers : tokens) {
        for (const auto & chosen : layers) {
            for (uint32_t k = 0; k < shape.expert_used_count; k++) {
                record.experts.push_back(k < chosen.size() ? chosen[k] : uint16_t(0xFFFF));
                record.weights.push_back(k < chosen.size() ? 1.0f / float(chosen.size()) : 0.0f);
            }
        }
    }
    return record;
}

inline moebius::router_shape made_shape(uint32_t layers, uint32_t experts, uint32_t used) {
    moebius::router_shape shape;
    for (uint32_t layer = 0; layer < layers; layer++) {
        shape.layers.push_back(int32_t(layer));
    }
    shape.expert_count      = experts;
    shape.expert_used_count = used;
    return shape;
}

// One sequence whose first token is the prompt. Experts are drawn from a set of `favourites` that moves on every 25 tokens, or from all.
inline moebius::routing_trace drifting_trace(uint32_t layers, uint32_t experts, uint32_t used, uint32_t tokens, uint32_t favourites, uint32_t seed) {
    moebius::routing_trace trace;
    trace.shape = made_shape(layers, experts, used);
    std::mt19937 random(seed);
    for (uint32_t token = 0; token < tokens; token++) {
        std::vector<std::vector<uint16_t>> rows(layers);
        for (uint32_t layer = 0; layer < layers; layer++) {
            while (rows[layer].size() < used) {
                const bool     near   = random() % 4 != 0;
                const uint16_t expert = uint16_t(near ? (token / 25 * 3 + layer + random() % favourites) % experts : random() % experts);
                if (std::find(rows[layer].begin(), rows[layer].end(), expert) == rows[layer].end()) {
                    rows[layer].push_back(expert);
                }
            }
        }
        trace.records.push_back(made_record(trace.shape, 0, token, { rows }));
    }
    return trace;
}

}  // namespace moebius_test
