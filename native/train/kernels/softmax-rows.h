// Softmax of a row in place, and its gradient.
#pragma once

#include "lanes.h"

namespace moebius {

// row = softmax(scale * row), scale > 0
template <typename L> MOEBIUS_INLINE void softmax_of_row(float * row, int64_t count, float scale) {
    typename L::floats most = L::all(-INFINITY), sums = L::all(0);
    for (int64_t i = 0; i < count; i += lane_count<L>) {
        const auto x = load_lanes<L>(row, i, count, -INFINITY);
        most          = x > most ? x : most;
    }
    const float largest = largest_of<L>(most);
    for (int64_t i = 0; i < count; i += lane_count<L>) {
        const auto power = exponential_of<L>((load_lanes<L>(row, i, count, -INFINITY) - largest) * scale);
        sums += power;
        store_lanes<L>(power, row, i, count);
    }
    const float share = 1 / sum_of<L>(sums);
    for (int64_t i = 0; i < count; i++) {
        row[i] *= share;
    }
}

// d: the gradient of p = softmax(scale * x) -> that of x: scale * p (d - sum(p d))
template <typename L> MOEBIUS_INLINE void softmax_back_of_row(const float * p, float * d, int64_t count, float scale) {
    typename L::floats sums = L::all(0);
    for (int64_t i = 0; i < count; i += lane_count<L>) {
        sums += load_lanes<L>(p, i, count, 0) * load_lanes<L>(d, i, count, 0);
    }
    const float sum = sum_of<L>(sums);
    for (int64_t i = 0; i < count; i++) {
        d[i] = scale * p[i] * (d[i] - sum);
    }
}

}  // namespace moebius
