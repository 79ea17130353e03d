// SwiGLU of a row, weighed, and its gradient.
#pragma once

#include "lanes.h"

namespace moebius {

// to = weight * silu(gate) * up
template <typename L> MOEBIUS_INLINE void swiglu_of_row(const float * gate, const float * up, float weight, float * to, int64_t count) {
    for (int64_t i = 0; i < count; i += lane_count<L>) {
        const auto x = load_lanes<L>(gate, i, count, 0);
        store_lanes<L>(weight * (x * sigmoid_of<L>(x) * load_lanes<L>(up, i, count, 0)), to, i, count);
    }
}

// d: the gradient of that -> those of gate and up, and of weight as the result
template <typename L> MOEBIUS_INLINE float swiglu_back_of_row(const float * gate, const float * up, const float * d, float weight, float * of_gate, float * of_up, int64_t count) {
    typename L::floats sums = L::all(0);
    for (int64_t i = 0; i < count; i += lane_count<L>) {
        const auto x = load_lanes<L>(gate, i, count, 0), y = load_lanes<L>(up, i, count, 0), z = load_lanes<L>(d, i, count, 0);
        const auto share = sigmoid_of<L>(x), silu = x * share;
        sums += z * silu * y;
        store_lanes<L>(weight * z * y * share * (1.0f + x * (1.0f - share)), of_gate, i, count);
        store_lanes<L>(weight * z * silu, of_up, i, count);
    }
    return sum_of<L>(sums);
}

}  // namespace moebius
