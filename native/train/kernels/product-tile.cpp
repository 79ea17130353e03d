#include "product-tile.h"

#include "softmax-rows.h"
#include "swiglu-rows.h"

#include <cstring>

#if defined(__x86_64__) && defined(__GNUC__)
#    include <immintrin.h>
#    define MOEBIUS_PRODUCT_TILES 1
#endif

namespace moebius {

namespace {

using multiply_rows = void (*)(int64_t k, const float * left, const float * panel, float * c, int64_t c_stride, int lanes, bool adds);

void multiply_plain(int row_count, int64_t k, const float * left, const float * panel, float * c, int64_t c_stride, int lanes, bool adds) {
    for (int r = 0; r < row_count; r++) {
        float sums[tile_lanes] = {};
        if (adds) {
            std::memcpy(sums, c + r * c_stride, size_t(lanes) * sizeof(float));
        }
        for (int64_t i = 0; i < k; i++) {
            const float x = left[r * tile_row_stride + i];
            for (int64_t lane = 0; lane < tile_lanes; lane++) {
                sums[lane] += x * panel[i * tile_lanes + lane];
            }
        }
        std::memcpy(c + r * c_stride, sums, size_t(lanes) * sizeof(float));
    }
}

void transpose_plain(const float * from, int64_t from_stride, int64_t rows, int64_t columns, float * to, int64_t to_stride) {
    for (int64_t j = 0; j < columns; j++) {
        for (int64_t i = 0; i < rows; i++) {
            to[j * to_stride + i] = from[i * from_stride + j];
        }
    }
}

void scale_plain(const float * from, int64_t from_stride, int64_t rows, int64_t columns, float factor, float * to, int64_t to_stride) {
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < columns; j++) {
            to[i * to_stride + j] = factor * from[i * from_stride + j];
        }
    }
}

void softmax_plain(float * row, int64_t count, float scale) { softmax_of_row<plain_lanes>(row, count, scale); }

void softmax_back_plain(const float * p, float * d, int64_t count, float scale) { softmax_back_of_row<plain_lanes>(p, d, count, scale); }

void swiglu_plain(const float * gate, const float * up, float weight, float * to, int64_t count) { swiglu_of_row<plain_lanes>(gate, up, weight, to, count); }

float swiglu_back_plain(const float * gate, const float * up, const float * d, float weight, float * of_gate, float * of_up, int64_t count) {
    return swiglu_back_of_row<plain_lanes>(gate, up, d, weight, of_gate, of_up, count);
}

constexpr tile_kernels plain = { "plain", 4, multiply_plain, transpose_plain, softmax_plain, softmax_back_plain, swiglu_plain, swiglu_back_plain, scale_plain, nullptr };

#if defined(MOEBIUS_PRODUCT_TILES)

#    define MOEBIUS_AVX2 __attribute__((target("avx2,fma,f16c")))
#    define MOEBIUS_AVX512 __attribute__((target("avx2,fma,f16c,avx512f,avx512vl,avx512bw,avx512dq")))

struct q8_block {  // ggml's block_q8_0
    uint16_t scale;  // half precision
    int8_t   values[32];
};
static_assert(sizeof(q8_block) == 34, "as in the file");

template <int R, int V> MOEBIUS_AVX512 void multiply_512(int64_t k, const float * left, const float * panel, float * c, int64_t c_stride, int lanes, bool adds) {
    __mmask16 valid[V];
    __m512    sums[R][V];
#    pragma GCC unroll 2
    for (int v = 0; v < V; v++) {
        const int some = lanes - 16 * v;
        valid[v]       = some >= 16 ? __mmask16(0xffff) : __mmask16((1u << some) - 1);
    }
#    pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
#    pragma GCC unroll 2
        for (int v = 0; v < V; v++) {
            sums[r][v] = adds ? _mm512_maskz_loadu_ps(valid[v], c + r * c_stride + 16 * v) : _mm512_setzero_ps();
        }
    }
    for (int64_t i = 0; i < k; i++) {
        __m512 columns[V];
#    pragma GCC unroll 2
        for (int v = 0; v < V; v++) {
            columns[v] = _mm512_load_ps(panel + i * tile_lanes + 16 * v);
        }
#    pragma GCC unroll 16
        for (int r = 0; r < R; r++) {
            const __m512 row = _mm512_set1_ps(left[r * tile_row_stride + i]);
#    pragma GCC unroll 2
            for (int v = 0; v < V; v++) {
                sums[r][v] = _mm512_fmadd_ps(row, columns[v], sums[r][v]);
            }
        }
    }
#    pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
#    pragma GCC unroll 2
        for (int v = 0; v < V; v++) {
            _mm512_mask_storeu_ps(c + r * c_stride + 16 * v, valid[v], sums[r][v]);
        }
    }
}

template <int R> MOEBIUS_AVX2 void multiply_256(int64_t k, const float * left, const float * panel, float * c, int64_t c_stride, bool adds) {
    __m256 sums[R][2];
#    pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
#    pragma GCC unroll 2
        for (int v = 0; v < 2; v++) {
            sums[r][v] = adds ? _mm256_loadu_ps(c + r * c_stride + 8 * v) : _mm256_setzero_ps();
        }
    }
    for (int64_t i = 0; i < k; i++) {
        const __m256 low = _mm256_load_ps(panel + i * tile_lanes), high = _mm256_load_ps(panel + i * tile_lanes + 8);
#    pragma GCC unroll 8
        for (int r = 0; r < R; r++) {
            const __m256 row = _mm256_broadcast_ss(left + r * tile_row_stride + i);
            sums[r][0]       = _mm256_fmadd_ps(row, low, sums[r][0]);
            sums[r][1]       = _mm256_fmadd_ps(row, high, sums[r][1]);
        }
    }
#    pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
#    pragma GCC unroll 2
        for (int v = 0; v < 2; v++) {
            _mm256_storeu_ps(c + r * c_stride + 8 * v, sums[r][v]);
        }
    }
}

// 16 columns at a time; what is left over goes through a tile of our own.
template <int R> MOEBIUS_AVX2 void multiply_halves(int64_t k, const float * left, const float * panel, float * c, int64_t c_stride, int lanes, bool adds) {
    for (int begin = 0; begin < lanes; begin += 16) {
        if (lanes - begin >= 16) {
            multiply_256<R>(k, left, panel + begin, c + begin, c_stride, adds);
            continue;
        }
        float        own[R * 16] = {};
        const size_t bytes       = size_t(lanes - begin) * sizeof(float);
        for (int r = 0; adds && r < R; r++) {
            std::memcpy(own + r * 16, c + r * c_stride + begin, bytes);
        }
        multiply_256<R>(k, left, panel + begin, own, 16, adds);
        for (int r = 0; r < R; r++) {
            std::memcpy(c + r * c_stride + begin, own + r * 16, bytes);
        }
    }
}

constexpr multiply_rows one_vector[]  = { multiply_512<1, 1>, multiply_512<2, 1>, multiply_512<3, 1>,  multiply_512<4, 1>,  multiply_512<5, 1>,  multiply_512<6, 1>,  multiply_512<7, 1>,
                                         multiply_512<8, 1>, multiply_512<9, 1>, multiply_512<10, 1>, multiply_512<11, 1>, multiply_512<12, 1>, multiply_512<13, 1>, multiply_512<14, 1> };
constexpr multiply_rows two_vectors[] = { multiply_512<1, 2>, multiply_512<2, 2>, multiply_512<3, 2>,  multiply_512<4, 2>,  multiply_512<5, 2>,  multiply_512<6, 2>,  multiply_512<7, 2>,
                                          multiply_512<8, 2>, multiply_512<9, 2>, multiply_512<10, 2>, multiply_512<11, 2>, multiply_512<12, 2>, multiply_512<13, 2>, multiply_512<14, 2> };
constexpr multiply_rows halves[]      = { multiply_halves<1>, multiply_halves<2>, multiply_halves<3>, multiply_halves<4>, multiply_halves<5>, multiply_halves<6> };

void multiply_avx512(int row_count, int64_t k, const float * left, const float * panel, float * c, int64_t c_stride, int lanes, bool adds) {
    (lanes > 16 ? two_vectors : one_vector)[row_count - 1](k, left, panel, c, c_stride, lanes, adds);
}

void multiply_avx2(int row_count, int64_t k, const float * left, const float * panel, float * c, int64_t c_stride, int lanes, bool adds) {
    halves[row_count - 1](k, left, panel, c, c_stride, lanes, adds);
}

MOEBIUS_AVX2 inline void transpose_8x8(const float * from, int64_t from_stride, float * to, int64_t to_stride) {
    __m256 r[8], t[8];
#    pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        r[i] = _mm256_loadu_ps(from + i * from_stride);
    }
#    pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        t[2 * i]     = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
#    pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
        r[4 * i]     = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
        r[4 * i + 1] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0xee);
        r[4 * i + 2] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
        r[4 * i + 3] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xee);
    }
#    pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(to + i * to_stride, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
        _mm256_storeu_ps(to + (i + 4) * to_stride, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
    }
}

MOEBIUS_AVX2 void transpose_avx2(const float * from, int64_t from_stride, int64_t rows, int64_t columns, float * to, int64_t to_stride) {
    const int64_t whole_rows = rows / 8 * 8, whole_columns = columns / 8 * 8;
    for (int64_t j = 0; j < whole_columns; j += 8) {
        for (int64_t i = 0; i < whole_rows; i += 8) {
            transpose_8x8(from + i * from_stride + j, from_stride, to + j * to_stride + i, to_stride);
        }
    }
    transpose_plain(from + whole_rows * from_stride, from_stride, rows - whole_rows, columns, to + whole_rows, to_stride);
    transpose_plain(from + whole_columns, from_stride, whole_rows, columns - whole_columns, to + whole_columns * to_stride, to_stride);
}

// Not memcpy: compilers make a slow string instruction of short ones.
MOEBIUS_AVX2 void scale_avx2(const float * from, int64_t from_stride, int64_t rows, int64_t columns, float factor, float * to, int64_t to_stride) {
    const __m256  factors = _mm256_set1_ps(factor);
    const int64_t whole   = columns / 8 * 8;
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < whole; j += 8) {
            _mm256_storeu_ps(to + i * to_stride + j, _mm256_mul_ps(_mm256_loadu_ps(from + i * from_stride + j), factors));
        }
    }
    scale_plain(from + whole, from_stride, rows, columns - whole, factor, to + whole, to_stride);
}

MOEBIUS_AVX2 void q8_0_avx2(const void * blocks, int64_t count, float * values, int64_t block_stride) {
    const auto * block = static_cast<const q8_block *>(blocks);
    for (int64_t b = 0; b < count / 32; b++) {
        const __m256 scale = _mm256_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(block[b].scale)));
#    pragma GCC unroll 4
        for (int i = 0; i < 32; i += 8) {
            const __m256i wide = _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(block[b].values + i)));
            _mm256_storeu_ps(values + b * block_stride + i, _mm256_mul_ps(_mm256_cvtepi32_ps(wide), scale));
        }
    }
}

MOEBIUS_AVX2 void softmax_avx2(float * row, int64_t count, float scale) { softmax_of_row<lanes<8>>(row, count, scale); }

MOEBIUS_AVX2 void softmax_back_avx2(const float * p, float * d, int64_t count, float scale) { softmax_back_of_row<lanes<8>>(p, d, count, scale); }

MOEBIUS_AVX2 void swiglu_avx2(const float * gate, const float * up, float weight, float * to, int64_t count) { swiglu_of_row<lanes<8>>(gate, up, weight, to, count); }

MOEBIUS_AVX2 float swiglu_back_avx2(const float * gate, const float * up, const float * d, float weight, float * of_gate, float * of_up, int64_t count) {
    return swiglu_back_of_row<lanes<8>>(gate, up, d, weight, of_gate, of_up, count);
}

MOEBIUS_AVX512 void softmax_avx512(float * row, int64_t count, float scale) { softmax_of_row<lanes<16>>(row, count, scale); }

MOEBIUS_AVX512 void softmax_back_avx512(const float * p, float * d, int64_t count, float scale) { softmax_back_of_row<lanes<16>>(p, d, count, scale); }

MOEBIUS_AVX512 void swiglu_avx512(const float * gate, const float * up, float weight, float * to, int64_t count) { swiglu_of_row<lanes<16>>(gate, up, weight, to, count); }

MOEBIUS_AVX512 float swiglu_back_avx512(const float * gate, const float * up, const float * d, float weight, float * of_gate, float * of_up, int64_t count) {
    return swiglu_back_of_row<lanes<16>>(gate, up, d, weight, of_gate, of_up, count);
}

constexpr tile_kernels avx512 = { "AVX-512", 14, multiply_avx512, transpose_avx2, softmax_avx512, softmax_back_avx512, swiglu_avx512, swiglu_back_avx512, scale_avx2, q8_0_avx2 };
constexpr tile_kernels avx2   = { "AVX2", 6, multiply_avx2, transpose_avx2, softmax_avx2, softmax_back_avx2, swiglu_avx2, swiglu_back_avx2, scale_avx2, q8_0_avx2 };

#endif

}  // namespace

int tile_kernels_all(const tile_kernels * (&kernels)[3]) {
    int count = 0;
#if defined(MOEBIUS_PRODUCT_TILES)
    const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    if (has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")) {
        kernels[count++] = &avx512;
    }
    if (has_avx2) {
        kernels[count++] = &avx2;
    }
#endif
    kernels[count++] = &plain;
    return count;
}

const tile_kernels & tile_kernels_get() {
    static const tile_kernels & best = [] () -> const tile_kernels & {
        const tile_kernels * all[3];
        tile_kernels_all(all);
        return *all[0];
    }();
    return best;
}

}  // namespace moebius
