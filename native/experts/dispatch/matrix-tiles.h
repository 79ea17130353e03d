// Products of an expert's matrix with the inputs of many tokens, tile by tile: rows stay in the cache while the tokens pass.
#pragma once

#include "cpu-kernels.h"
#include "experts/store/expert-layout.h"
#include "q8-tile.h"

#include <algorithm>

namespace moebius {

constexpr int64_t tile_rows    = 16;  // of a matrix, kept in the cache while the tokens pass
constexpr int64_t tile_tokens  = 16;
constexpr int64_t tile_columns = 4;   // tokens from which on q8-tile is used: with one, decode had half the speed

// One matrix of an expert.
struct matrix_rows {
    const uint8_t * data;
    size_t          row_bytes;
    int64_t         n;  // values of a row
    ggml_vec_dot_t  dot;
    tile_kernel     tile;  // null: `dot` has to do
};

inline matrix_rows rows_of(const cpu_kernels & kernels, const expert_part & part, const uint8_t * data) {
    const tile_kernel tile = part.type == GGML_TYPE_Q8_0 ? q8_tile_get(kernels) : nullptr;
    return { data, ggml_row_size(part.type, part.n_in), part.n_in, kernels.traits(part.type)->vec_dot, tile };
}

// out[token][row] for rows [begin, end) of a matrix, tile by tile. `column` and `store` give addresses of a token's input and output.
template <typename Column, typename Store>
void multiply(const matrix_rows & matrix, int64_t begin, int64_t end, int64_t columns, Column && column, Store && store) {
    const uint8_t * from[tile_tokens];
    float *         to[tile_tokens];
    for (int64_t c0 = 0; c0 < columns; c0 += tile_tokens) {
        const int64_t count = std::min(tile_tokens, columns - c0);
        for (int64_t r0 = begin; r0 < end; r0 += tile_rows) {
            const int64_t   rows = std::min(tile_rows, end - r0);
            const uint8_t * data = matrix.data + size_t(r0) * matrix.row_bytes;
            for (int64_t c = 0; c < count; c++) {
                from[c] = column(c0 + c);
                to[c]   = store(c0 + c) + (r0 - begin);
            }
            if (matrix.tile && count >= tile_columns) {
                matrix.tile(matrix.n, data, matrix.row_bytes, rows, from, count, to);
                continue;
            }
            for (int64_t c = 0; c < count; c++) {
                for (int64_t r = 0; r < rows; r++) {
                    matrix.dot(int(matrix.n), to[c] + r, 0, data + size_t(r) * matrix.row_bytes, 0, from[c], 0, 1);
                }
            }
        }
    }
}

}  // namespace moebius
