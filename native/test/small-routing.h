// A few tokens' experts, and sizes of small layers for them.
#pragma once

#include "train-check.h"
#include "train/graph/routing.h"

namespace moebius_test {

constexpr size_t experts = 5, used = 2, embd = 8, ff = 6, rank = 3, tokens = 7;

// Expert 3 is nobody's; token 2 is padding, token 5 takes one expert.
inline const std::vector<int32_t> chosen{ 0, 1, 4, 2, -1, -1, 1, 0, 2, 4, 4, -1, 0, 4 };

inline routing_inputs routing_in(graph_maker & maker, const expert_groups & groups) {
    const routing_inputs routing(maker.tape, groups);
    routing.fill(groups, [&](ggml_tensor * input, const void * data) { maker.keep(input, data); });
    return routing;
}

}  // namespace moebius_test
