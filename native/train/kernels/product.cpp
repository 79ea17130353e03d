#include "product.h"

#include <algorithm>

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

constexpr size_t  cache_line    = 64;
constexpr int64_t rows_ahead    = 8;  // of the right factor, fetched before they are converted

void fetch_ahead(const void * data, size_t bytes) {
#if defined(__GNUC__)
    for (size_t at = 0; at < bytes; at += cache_line) {
        __builtin_prefetch(static_cast<const char *>(data) + at);
    }
#else
    (void) data, (void) bytes;
#endif
}

constexpr int64_t q8_block_size = 32;
static_assert(q8_block_size == tile_lanes, "a block is a row of a panel");

const char * address_of(const right_factor & from, int64_t row, int64_t begin) {
    return static_cast<const char *>(from.data) + size_t(row) * from.row_bytes + ggml_row_size(from.type, begin);
}

// Numbers [begin, begin + count) of a row. `begin` is where a block begins.
const float * floats_of(const tile_kernels & kernels, const right_factor & from, int64_t row, int64_t begin, int64_t count, float * room) {
    const char * data = address_of(from, row, begin);
    if (from.type == GGML_TYPE_F32) {
        return reinterpret_cast<const float *>(data);
    }
    if (from.type == GGML_TYPE_Q8_0 && kernels.q8_0_to_float) {
        kernels.q8_0_to_float(data, count, room, q8_block_size);
    } else {
        ggml_get_type_traits(from.type)->to_float(data, room, count);
    }
    return room;
}

void fill_panels_by_k(const tile_kernels & kernels, const right_factor & from, int64_t k_begin, int64_t k, int64_t n_begin, int64_t n, scratch & own) {
    const int64_t whole = n / tile_lanes, rest = n % tile_lanes, panel = k * tile_lanes;
    const size_t  bytes = ggml_row_size(from.type, n);
    for (int64_t i = 0; i < k; i++) {
        float * const to = own.panels + i * tile_lanes;
        fetch_ahead(address_of(from, k_begin + std::min(i + rows_ahead, k - 1), n_begin), bytes);
        if (from.type == GGML_TYPE_Q8_0 && kernels.q8_0_to_float) {
            kernels.q8_0_to_float(address_of(from, k_begin + i, n_begin), n, to, panel);
            continue;
        }
        const float * values = floats_of(kernels, from, k_begin + i, n_begin, n, own.converted);
        kernels.scale(values, tile_lanes, whole, tile_lanes, 1, to, panel);
        if (rest > 0) {
            kernels.scale(values + whole * tile_lanes, tile_lanes, 1, rest, 1, to + whole * panel, panel);
            std::fill(to + whole * panel + rest, to + whole * panel + tile_lanes, 0.0f);
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
        kernels.scale(from.data + m * from.row_stride + k_begin, from.row_stride, rows, k, from.factor, to, tile_row_stride);
        return;
    }
    kernels.transpose(from.data + k_begin * from.k_stride + m, from.k_stride, k, rows, to, tile_row_stride);
    if (from.factor != 1) {
        kernels.scale(to, tile_row_stride, rows, k, from.factor, to, tile_row_stride);
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
        const int64_t next = std::min(kernels.rows, int(piece.m_end - m - some));
        for (int64_t at = 0; at < n; at += tile_lanes) {
            if (term.left.k_stride == 1) {  // a share of the next tile's rows
                for (int64_t r = at / tile_lanes; r < next; r += product_columns / tile_lanes) {
                    fetch_ahead(term.left.data + (m + some + r) * term.left.row_stride + k_begin, size_t(k) * sizeof(float));
                }
            }
            kernels.multiply(int(some), k, own.left, own.panels + at * k, c + m * c_stride + piece.n_begin + at, c_stride, int(std::min(tile_lanes, n - at)), adds);
        }
        m += some;
    }
}

}  // namespace

void compute_product(const tile_kernels & kernels, const std::vector<product_term> & terms, float * c, int64_t c_stride, const product_piece & piece, bool adds) {
    scratch & own = own_scratch();
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
