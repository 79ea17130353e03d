// Softmax of a row in place and its gradient, as plain loops over sixteen numbers at a time: inlined into functions of one kind of instructions (product-tile.cpp),
// of which the compiler makes vectors. Sums are sixteen, added up at the end, so the number of lanes of a vector changes nothing.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__GNUC__)
#    define MOEBIUS_INLINE __attribute__((always_inline)) inline
#else
#    define MOEBIUS_INLINE inline
#endif

namespace moebius {

constexpr int64_t softmax_lanes = 16;

// e^x for x <= 0, within 2e-7 of itself; 0 below e^-87; of NaN NaN. 2^n e^r with |r| <= ln(2) / 2, the latter by the polynomial of Cephes' expf.
MOEBIUS_INLINE float exponential_of(float x) {
    const float   bounded = x >= -87.0f ? x : -87.0f;  // of NaN, too
    const int32_t n       = int32_t(bounded * 1.44269504f - 0.5f);
    const float   r       = (bounded - float(n) * 0.693359375f) + float(n) * 2.12194440e-4f;
    float         y       = 1.9875691500e-4f;
    y                     = y * r + 1.3981999507e-3f;
    y                     = y * r + 8.3334519073e-3f;
    y                     = y * r + 4.1665795894e-2f;
    y                     = y * r + 1.6666665459e-1f;
    y                     = y * r + 5.0000001201e-1f;
    y                     = y * r * r + r + 1.0f;
    const int32_t bits    = (n + 127) * (1 << 23);
    float         power;
    std::memcpy(&power, &bits, sizeof(power));
    return x >= -87.0f ? y * power : x < -87.0f ? 0.0f : x;
}

MOEBIUS_INLINE float sum_of_lanes(const float (&lanes)[softmax_lanes]) {
    float sum = 0;
    for (const float each : lanes) {
        sum += each;
    }
    return sum;
}

// The rest of a row behind its whole groups of lanes is padded with `padding`.
MOEBIUS_INLINE int64_t lanes_at(const float * row, int64_t begin, int64_t count, float padding, float (&x)[softmax_lanes]) {
    const int64_t some = count - begin < softmax_lanes ? count - begin : softmax_lanes;
    if (some == softmax_lanes) {
        std::memcpy(x, row + begin, sizeof(x));
    } else {
        for (int64_t i = 0; i < softmax_lanes; i++) {
            x[i] = i < some ? row[begin + i] : padding;
        }
    }
    return some;
}

// row = softmax(scale * row), scale > 0
MOEBIUS_INLINE void softmax_of_row(float * row, int64_t count, float scale) {
    float x[softmax_lanes], most[softmax_lanes], sums[softmax_lanes] = {};
    for (float & each : most) {
        each = -INFINITY;
    }
    for (int64_t begin = 0; begin < count; begin += softmax_lanes) {
        lanes_at(row, begin, count, -INFINITY, x);
        for (int64_t i = 0; i < softmax_lanes; i++) {
            most[i] = x[i] > most[i] ? x[i] : most[i];
        }
    }
    float largest = -INFINITY;
    for (const float each : most) {
        largest = each > largest ? each : largest;
    }
    for (int64_t begin = 0; begin < count; begin += softmax_lanes) {
        const int64_t some = lanes_at(row, begin, count, -INFINITY, x);
        for (int64_t i = 0; i < softmax_lanes; i++) {
            x[i] = exponential_of((x[i] - largest) * scale);
            sums[i] += x[i];
        }
        std::memcpy(row + begin, x, size_t(some) * sizeof(float));
    }
    const float share = 1 / sum_of_lanes(sums);
    for (int64_t i = 0; i < count; i++) {
        row[i] *= share;
    }
}

// d: the gradient of p = softmax(scale * x) -> that of x: scale * p (d - sum(p d))
MOEBIUS_INLINE void softmax_back_of_row(const float * p, float * d, int64_t count, float scale) {
    float x[softmax_lanes], y[softmax_lanes], sums[softmax_lanes] = {};
    for (int64_t begin = 0; begin < count; begin += softmax_lanes) {
        lanes_at(p, begin, count, 0, x);
        lanes_at(d, begin, count, 0, y);
        for (int64_t i = 0; i < softmax_lanes; i++) {
            sums[i] += x[i] * y[i];
        }
    }
    const float sum = sum_of_lanes(sums);
    for (int64_t i = 0; i < count; i++) {
        d[i] = scale * p[i] * (d[i] - sum);
    }
}

}  // namespace moebius
