// Updates of optimisers, as loops that compilers make vectors of (flags: native/CMakeLists.txt). Each operation is rounded to float by
// itself, so a vector's results are those of single numbers.
#pragma once

#include <cstddef>
#include <cstdint>

namespace moebius {

// What AdamW's update multiplies with; `kept` is the share of a moment that stays, `added` what is added of the gradient (or its square).
struct adamw_factors {
    float value_kept;  // 1 - learning rate * weight decay
    float first_kept, first_added;
    float second_kept, second_added;
    float rate;        // learning rate / (1 - beta1^step)
    float root;        // 1 / sqrt(1 - beta2^step)
    float epsilon;
};

// A moment of one block, kept in 8 bits.
struct coded_block {
    uint8_t * codes;
    float *   scale;  // the largest magnitude
};

// No two of the arrays of one call may overlap; all have n numbers.
void sgd_update(float * value, const float * gradient, size_t n, float value_kept, float rate);
// momentum <- kept * momentum + gradient, and a step along it (PyTorch's form: no dampening, not Nesterov's).
void momentum_update(float * value, const float * gradient, float * momentum, size_t n, float value_kept, float rate, float kept);
void adamw_update(float * value, const float * gradient, float * first, float * second, size_t n, const adamw_factors & factors);
// n: at most block_numbers
void adamw_update(float * value, const float * gradient, coded_block first, coded_block second, size_t n, const adamw_factors & factors);

// Of squares, added in an order that only depends on n.
double sum_of_squares(const float * x, size_t n);
void   multiply(float * x, size_t n, float factor);

}  // namespace moebius
