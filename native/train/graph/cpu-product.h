// Products with frozen and trained matrices as single nodes of the CPU's graphs (kernels/product): no matrix is converted or transposed as a whole, and a stack of
// experts is one node, whose work all threads share. Other devices are given ggml's own nodes.
#pragma once

#include "tape.h"

namespace moebius {

// Rows [begin, begin + count) of what goes through matrix `matrix` of a stack.
struct row_group {
    int32_t matrix = 0;
    int64_t begin = 0, count = 0;
};

// rows times a matrix for each group. Matrices of a stack [n0, n1, ...]: forward takes rows of n0 numbers and gives n1, backward the other way.
struct rows_term {
    ggml_tensor *        rows     = nullptr;  // F32 [k, rows]
    ggml_tensor *        stack    = nullptr;  // any type
    bool                 back     = false;
    float                factor   = 1;
    std::vector<int32_t> matrices = {};       // [groups] their matrices in this stack, -1: they don't have this term; empty: row_group::matrix
};

// Sum of the terms of each group -> F32 [n, rows]. Every row is in one group.
ggml_tensor * product_of_rows(train_tape & tape, int64_t n, int64_t rows, const std::vector<row_group> & groups, const std::vector<rows_term> & terms);

// The gradient of each group's matrix: factor * sum over its rows of x y^T. x: F32 [n0, rows], y: F32 [n1, rows] -> [n0, n1, groups]
ggml_tensor * product_over_rows(train_tape & tape, ggml_tensor * x, ggml_tensor * y, float factor, const std::vector<row_group> & groups);

}  // namespace moebius
