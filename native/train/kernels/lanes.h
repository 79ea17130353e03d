// Some numbers that are computed with at once: vectors of the instructions of the function that this is inlined into (product-tile.cpp), or one number where the compiler has no such types.
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

#if defined(__GNUC__)
template <int N> struct lanes {
    typedef float   floats __attribute__((vector_size(N * sizeof(float))));
    typedef int32_t ints __attribute__((vector_size(N * sizeof(int32_t))));

    MOEBIUS_INLINE static floats                            all(float x) { return x - floats{}; }
    template <typename Floats> MOEBIUS_INLINE static ints   truncated(Floats x) { return __builtin_convertvector(x, ints); }
    template <typename Ints> MOEBIUS_INLINE static floats   of(Ints n) { return __builtin_convertvector(n, floats); }
};
using plain_lanes = lanes<4>;  // NEON and SSE2 have them
#else
template <int N> struct lanes;
template <> struct lanes<1> {
    using floats = float;
    using ints   = int32_t;

    static floats all(float x) { return x; }
    static ints   truncated(floats x) { return ints(x); }
    static floats of(ints n) { return floats(n); }
};
using plain_lanes = lanes<1>;
#endif

template <typename L> constexpr int64_t lane_count = sizeof(typename L::floats) / sizeof(float);

// Numbers [begin, count) of a row, at most lane_count; behind them, padding.
template <typename L> MOEBIUS_INLINE typename L::floats load_lanes(const float * row, int64_t begin, int64_t count, float padding) {
    typename L::floats x = L::all(padding);
    if (count - begin >= lane_count<L>) {
        std::memcpy(&x, row + begin, sizeof(x));
    } else {
        std::memcpy(&x, row + begin, size_t(count - begin) * sizeof(float));
    }
    return x;
}

template <typename L> MOEBIUS_INLINE void store_lanes(typename L::floats x, float * row, int64_t begin, int64_t count) {
    if (count - begin >= lane_count<L>) {
        std::memcpy(row + begin, &x, sizeof(x));
    } else {
        std::memcpy(row + begin, &x, size_t(count - begin) * sizeof(float));
    }
}

template <typename L> MOEBIUS_INLINE float sum_of(typename L::floats x) {
    float each[lane_count<L>], sum = 0;
    std::memcpy(each, &x, sizeof(x));
    for (const float number : each) {
        sum += number;
    }
    return sum;
}

template <typename L> MOEBIUS_INLINE float largest_of(typename L::floats x) {
    float each[lane_count<L>], largest = -INFINITY;
    std::memcpy(each, &x, sizeof(x));
    for (const float number : each) {
        largest = number > largest ? number : largest;
    }
    return largest;
}

// e^x for x <= 0, within 2e-7 of itself; 0 below e^-87; of NaN NaN. 2^n e^r with |r| <= ln(2) / 2, the latter by the polynomial of Cephes' expf.
template <typename L> MOEBIUS_INLINE typename L::floats exponential_of(typename L::floats x) {
    const auto         bounded = x >= -87.0f ? x : L::all(-87.0f);  // of NaN, too
    const auto         n       = L::truncated(bounded * 1.44269504f - 0.5f);
    const auto         r       = (bounded - L::of(n) * 0.693359375f) + L::of(n) * 2.12194440e-4f;
    typename L::floats y       = r * 1.9875691500e-4f + 1.3981999507e-3f;
    y                          = y * r + 8.3334519073e-3f;
    y                          = y * r + 4.1665795894e-2f;
    y                          = y * r + 1.6666665459e-1f;
    y                          = y * r + 5.0000001201e-1f;
    y                          = y * r * r + r + 1.0f;
    const auto         bits    = (n + 127) * (1 << 23);
    typename L::floats power;
    std::memcpy(&power, &bits, sizeof(power));
    const auto known = x < -87.0f ? L::all(0) : x;
    return x >= -87.0f ? y * power : known;
}

// 1 / (1 + e^-x), by a power of e that is at most 1
template <typename L> MOEBIUS_INLINE typename L::floats sigmoid_of(typename L::floats x) {
    const auto power = exponential_of<L>(x > 0.0f ? -x : x);
    return (x > 0.0f ? L::all(1) : power) / (1.0f + power);
}

}  // namespace moebius
