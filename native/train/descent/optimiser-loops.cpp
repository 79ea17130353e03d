#include "optimiser-loops.h"

#include "dynamic-code.h"
#include "parameter-chunks.h"

#include <algorithm>
#include <cmath>

namespace moebius {

namespace {

// The absolute values' largest.
float largest(const float * x, size_t n) {
    constexpr size_t lanes       = 8;
    float            most[lanes] = {};
    size_t           i           = 0;
    for (; i + lanes <= n; i += lanes) {
        for (size_t j = 0; j < lanes; j++) {
            const float magnitude = std::fabs(x[i + j]);
            most[j]               = magnitude > most[j] ? magnitude : most[j];
        }
    }
    for (; i < n; i++) {
        most[0] = std::max(most[0], std::fabs(x[i]));
    }
    return *std::max_element(most, most + lanes);
}

void decode(const dynamic_code & code, coded_block block, float * __restrict x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        x[i] = code.values[block.codes[i]] * *block.scale;
    }
}

// Divides x by its scale.
void encode(const dynamic_code & code, float * __restrict x, coded_block block, size_t n) {
    *block.scale        = largest(x, n);
    const float divisor = *block.scale > 0 ? *block.scale : 1;
    for (size_t i = 0; i < n; i++) {
        x[i] /= divisor;
    }
    code.nearest(x, block.codes, n);
}

}  // namespace

void sgd_update(float * __restrict value, const float * __restrict gradient, size_t n, float value_kept, float rate) {
    for (size_t i = 0; i < n; i++) {
        value[i] = value[i] * value_kept - rate * gradient[i];
    }
}

void momentum_update(float * __restrict value, const float * __restrict gradient, float * __restrict momentum, size_t n, float value_kept, float rate, float kept) {
    for (size_t i = 0; i < n; i++) {
        momentum[i] = kept * momentum[i] + gradient[i];
        value[i]    = value[i] * value_kept - rate * momentum[i];
    }
}

void adamw_update(float * __restrict value, const float * __restrict gradient, float * __restrict first, float * __restrict second, size_t n, const adamw_factors & factors) {
    const adamw_factors f = factors;
    for (size_t i = 0; i < n; i++) {
        first[i]  = f.first_kept * first[i] + f.first_added * gradient[i];
        second[i] = f.second_kept * second[i] + f.second_added * gradient[i] * gradient[i];
        value[i]  = value[i] * f.value_kept - f.rate * first[i] / (std::sqrt(second[i]) * f.root + f.epsilon);
    }
}

void adamw_update(float * value, const float * gradient, coded_block first, coded_block second, size_t n, const adamw_factors & factors) {
    static const dynamic_code & with_sign    = dynamic_code::with_sign();
    static const dynamic_code & without_sign = dynamic_code::without_sign();
    float m[block_numbers], v[block_numbers];
    decode(with_sign, first, m, n);
    decode(without_sign, second, v, n);
    adamw_update(value, gradient, m, v, n, factors);
    encode(with_sign, m, first, n);
    encode(without_sign, v, second, n);
}

double sum_of_squares(const float * x, size_t n) {
    constexpr size_t lanes       = 8;  // sums beside each other: one sum would wait for itself
    double           sums[lanes] = {};
    size_t           i           = 0;
    for (; i + lanes <= n; i += lanes) {
        for (size_t j = 0; j < lanes; j++) {
            sums[j] += double(x[i + j]) * double(x[i + j]);
        }
    }
    double sum = 0;
    for (; i < n; i++) {
        sum += double(x[i]) * double(x[i]);
    }
    for (const double part : sums) {
        sum += part;
    }
    return sum;
}

void multiply(float * x, size_t n, float factor) {
    for (size_t i = 0; i < n; i++) {
        x[i] *= factor;
    }
}

}  // namespace moebius
