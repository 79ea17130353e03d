#include "product.h"

#include <algorithm>
#include <cstring>

namespace moebius {

namespace {

constexpr int64_t rows_at_once = 16;  // of the right factor, converted before they are transposed

// A thread's own.
struct scratch {
    alignas(64) float panels[tile_depth * product_columns];  // [columns / tile_lanes][k][tile_lanes]
    alignas(64) float left[rows_at_once * tile_row_stride];
    alignas(64) float converted[rows_at_once * tile_depth];
};

scratch & own_scratch() {
    static thread_local std::vector<float> memory(sizeof(scratch) / sizeof(float) + 16);
    const auto                             address = reinterpret_cast<uintptr_t>(memory.data());
    return *reinterpret_cast<scratch *>((address + 63) / 64 * 64);
}

// Numbers [begin, begin + count) of a row. `begin` is where a block begins.
const float * floats_of(const tile_kernels & kernels, const right_factor & from, int64_t row, int64_t begin, int64_t count, float * room) {
    const char * data = static_cast<const char *>(from.data) + size_t(row) * from.row_bytes + ggml_row_size(from.type, begin);
    if (from.type == GGML_TYPE_F32) {
        return reinterpret_cast<const float *>(data);
    }
    if (from.type == GGML_TYPE_Q8_0 && kernels.q8_0_to_float) {
        kernels.q8_0_to_float(data, room, count);
    } else {
        ggml_get_type_traits(from.type)->to_float(data, room, count);
    }
    return room;
}

void fill_panels_by_k(const tile_kernels & kernels, const right_factor & from, int64_t k_begin, int64_t k, int64_t n_begin, int64_t n, scratch & own) {
    for (int64_t i = 0; i < k; i++) {
        const float * values = floats_of(kernels, from, k_begin + i, n_begin, n, own.converted);
        for (int64_t at = 0; at < n; at += tile_lanes) {
            float * const to   = own.panels + at * k + i * tile_lanes;
            const int64_t some = std::min(tile_lanes, n - at);
            std::memcpy(to, values + at, size_t(some) * sizeof(float));
            std::fill(to + some, to + tile_lanes, 0.0f);
        }
    }
}

void fill_panels_by_n(const tile_kernels & kernels, const right_factor & from, int64_t k_begin, int64_t k, int64_t n_begin, int64_t n, scratch & own) {
    for (int64_t at = 0; at < n; at += rows_at_once) {
        const int64_t some = std::min(rows_at_once, n - at);
        const float * values;
        int64_t       stride = tile_depth;
        if (from.type == GGML_TYPE_F32) {
            values = floats_of(kernels, from, n_begin + at, k_begin, k, nullptr);
            stride = int64_t(from.row_bytes / sizeof(float));
        } else {
            for (int64_t i = 0; i < some; i++) {
                floats_of(kernels, from, n_begin + at + i, k_begin, k, own.converted + i * tile_depth);
            }
            values = own.converted;
        }
        float * const to = own.panels + at / tile_lanes * tile_lanes * k + at % tile_lanes;
        kernels.transpose(values, stride, some, k, to, tile_lanes);
        for (int64_t j = 0; some < rows_at_once && j < k; j++) {
            std::fill(to + j * tile_lanes + some, to + j * tile_lanes + rows_at_once, 0.0f);
        }
    }
    if (n % tile_lanes > 0 && n % tile_lanes <= rows_at_once) {  // the other half of the last panel
        for (int64_t j = 0; j < k; j++) {
            float * const to = own.panels + n / tile_lanes * tile_lanes * k + j * tile_lanes + rows_at_once;
            std::fill(to, to + tile_lanes - rows_at_once, 0.0f);
        }
    }
}

// Rows side by side, tile_row_stride apart.
void fill_left(const tile_kernels & kernels, const left_factor & from, int64_t m, int64_t rows, int64_t k_begin, int64_t k, float * to) {
    if (from.k_stride == 1) {
        for (int64_t r = 0; r < rows; r++) {
            std::memcpy(to + r * tile_row_stride, from.data + (m + r) * from.row_stride + k_begin, size_t(k) * sizeof(float));
        }
    } else {
        kernels.transpose(from.data + k_begin * from.k_stride + m, from.k_stride, k, rows, to, tile_row_stride);
    }
    if (from.factor != 1) {
        for (int64_t r = 0; r < rows; r++) {
            for (int64_t i = 0; i < k; i++) {
                to[r * tile_row_stride + i] *= from.factor;
            }
        }
    }
}

// All rows of a piece with the panels that are there.
void multiply_rows_of(const tile_kernels & kernels, const product_term & term, int64_t k_begin, int64_t k, float * c, int64_t c_stride, const product_piece & piece, bool adds, scratch & own) {
    const int64_t rows = piece.m_end - piece.m_begin, n = piece.n_end - piece.n_begin;
    const int64_t tiles = (rows + kernels.rows - 1) / kernels.rows;
    int64_t       m     = piece.m_begin;
    for (int64_t tile = 0; tile < tiles; tile++) {
        const int64_t some = rows / tiles + (tile < rows % tiles ? 1 : 0);  // alike: small tiles wait for their sums
        fill_left(kernels, term.left, m, some, k_begin, k, own.left);
        for (int64_t at = 0; at < n; at += tile_lanes) {
            kernels.multiply(int(some), k, own.left, own.panels + at * k, c + m * c_stride + piece.n_begin + at, c_stride, int(std::min(tile_lanes, n - at)), adds);
        }
        m += some;
    }
}

}  // namespace

void compute_product(const tile_kernels & kernels, const std::vector<product_term> & terms, float * c, int64_t c_stride, const product_piece & piece) {
    scratch & own  = own_scratch();
    bool      adds = false;
    for (const product_term & term : terms) {
        for (int64_t begin = 0; begin < term.k; begin += tile_depth) {
            const int64_t k    = std::min(tile_depth, term.k - begin);
            const auto    fill = term.right.by_k ? fill_panels_by_k : fill_panels_by_n;
            fill(kernels, term.right, begin, k, piece.n_begin, piece.n_end - piece.n_begin, own);
            multiply_rows_of(kernels, term, begin, k, c, c_stride, piece, adds, own);
            adds = true;
        }
    }
    for (int64_t m = piece.m_begin; !adds && m < piece.m_end; m++) {
        std::fill(c + m * c_stride + piece.n_begin, c + m * c_stride + piece.n_end, 0.0f);
    }
}

}  // namespace moebius
