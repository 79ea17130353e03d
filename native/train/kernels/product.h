// F32 products on the CPU whose right factor may be of any type that ggml reads: each piece of it is converted once for all rows that meet it, into a thread's own memory.
#pragma once

#include "product-tile.h"

#include <ggml.h>

#include <vector>

namespace moebius {

// Numbers (m, k), m < rows.
struct left_factor {
    const float * data       = nullptr;
    int64_t       row_stride = 0;  // numbers from m to m + 1
    int64_t       k_stride   = 1;  // from k to k + 1; one of both is 1
    float         factor     = 1;  // of all
};

// Numbers (k, n): rows of k, or rows of n.
struct right_factor {
    const void * data      = nullptr;
    ggml_type    type      = GGML_TYPE_F32;
    size_t       row_bytes = 0;
    bool         by_k      = false;  // a row is one k and all n; else one n and all k
};

struct product_term {
    left_factor  left;
    right_factor right;
    int64_t      k = 0;
};

// A piece of a result: rows [m_begin, m_end), columns [n_begin, n_end); n_begin is a multiple of product_columns, n_end too or the last.
struct product_piece {
    int64_t m_begin = 0, m_end = 0, n_begin = 0, n_end = 0;
};

constexpr int64_t product_columns = 256;  // most columns of a piece

// c[m][n] = sum of the terms, in their order, k ascending, zeros without any; adds: c plus that. c: [rows][c_stride].
void compute_product(const tile_kernels & kernels, const std::vector<product_term> & terms, float * c, int64_t c_stride, const product_piece & piece, bool adds = false);

}  // namespace moebius
