#include "q8-tile.h"

#include <cstring>
#include <random>
#include <vector>

#if defined(__x86_64__) && defined(__GNUC__)
#    include <immintrin.h>
#    define MOEBIUS_Q8_TILES 1
#endif

namespace moebius {

namespace {

#if defined(MOEBIUS_Q8_TILES)

constexpr int64_t block_values = 32;

struct block {  // ggml's block_q8_0
    uint16_t scale;  // half precision
    int8_t   values[block_values];
};
static_assert(sizeof(block) == 34, "as in the file");

#    define MOEBIUS_AVX2 __attribute__((target("avx2,fma,f16c")))
#    define MOEBIUS_VNNI __attribute__((target("avx2,fma,f16c,avx512f,avx512vl,avx512bw,avx512vnni")))

MOEBIUS_AVX2 inline __m256 scale_of(const block & of) {
    return _mm256_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(of.scale)));
}

MOEBIUS_AVX2 inline __m256i values_of(const block & of) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(of.values));
}

// In the order of ggml's hsum_float_8.
MOEBIUS_AVX2 inline float sum_of(__m256 lanes) {
    __m128 sum = _mm_add_ps(_mm256_extractf128_ps(lanes, 1), _mm256_castps256_ps128(lanes));
    sum        = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
    sum        = _mm_add_ss(sum, _mm_movehdup_ps(sum));
    return _mm_cvtss_f32(sum);
}

template <int R, int C> MOEBIUS_AVX2 __attribute__((always_inline)) inline void sum_up(const __m256 (&sums)[R][C], float (*out)[R]) {
#    pragma GCC unroll 4
    for (int r = 0; r < R; r++) {
#    pragma GCC unroll 4
        for (int c = 0; c < C; c++) {
            out[c][r] = sum_of(sums[r][c]);
        }
    }
}

// Sums of four products of bytes are integers: exact, however they are added up.
template <int R, int C> MOEBIUS_AVX2 void tile_avx2(int64_t blocks, const block * const * rows, const block * const * columns, float (*out)[R]) {
    const __m256i ones = _mm256_set1_epi16(1);
    __m256        sums[R][C] = {};
    for (int64_t b = 0; b < blocks; b++) {
        __m256i x[R], magnitudes[R];
        __m256  scales[R];
#    pragma GCC unroll 4
        for (int r = 0; r < R; r++) {
            x[r]          = values_of(rows[r][b]);
            magnitudes[r] = _mm256_sign_epi8(x[r], x[r]);
            scales[r]     = scale_of(rows[r][b]);
        }
#    pragma GCC unroll 4
        for (int c = 0; c < C; c++) {
            const __m256i y     = values_of(columns[c][b]);
            const __m256  scale = scale_of(columns[c][b]);
#    pragma GCC unroll 4
            for (int r = 0; r < R; r++) {
                const __m256i pairs = _mm256_maddubs_epi16(magnitudes[r], _mm256_sign_epi8(y, x[r]));
                const __m256  fours = _mm256_cvtepi32_ps(_mm256_madd_epi16(ones, pairs));
                sums[r][c]          = _mm256_fmadd_ps(_mm256_mul_ps(scales[r], scale), fours, sums[r][c]);
            }
        }
    }
    sum_up<R, C>(sums, out);
}

// x . y = (x + 128) . y - 128 . y, as the instruction wants one side unsigned.
template <int R, int C> MOEBIUS_VNNI void tile_vnni(int64_t blocks, const block * const * rows, const block * const * columns, float (*out)[R]) {
    const __m256i bias = _mm256_set1_epi8(int8_t(0x80));
    __m256        sums[R][C] = {};
    for (int64_t b = 0; b < blocks; b++) {
        __m256i x[R];
        __m256  scales[R];
#    pragma GCC unroll 4
        for (int r = 0; r < R; r++) {
            x[r]      = _mm256_xor_si256(values_of(rows[r][b]), bias);
            scales[r] = scale_of(rows[r][b]);
        }
#    pragma GCC unroll 4
        for (int c = 0; c < C; c++) {
            const __m256i y     = values_of(columns[c][b]);
            const __m256  scale = scale_of(columns[c][b]);
            const __m256i less  = _mm256_sub_epi32(_mm256_setzero_si256(), _mm256_dpbusd_epi32(_mm256_setzero_si256(), bias, y));
#    pragma GCC unroll 4
            for (int r = 0; r < R; r++) {
                const __m256 fours = _mm256_cvtepi32_ps(_mm256_dpbusd_epi32(less, x[r], y));
                sums[r][c]         = _mm256_fmadd_ps(_mm256_mul_ps(scales[r], scale), fours, sums[r][c]);
            }
        }
    }
    sum_up<R, C>(sums, out);
}

struct with_avx2 {
    static constexpr int rows = 2, columns = 4;  // of a tile: what registers hold
    template <int R, int C> static void tile(int64_t blocks, const block * const * x, const block * const * y, float (*out)[R]) { tile_avx2<R, C>(blocks, x, y, out); }
};

struct with_vnni {
    static constexpr int rows = 4, columns = 4;
    template <int R, int C> static void tile(int64_t blocks, const block * const * x, const block * const * y, float (*out)[R]) { tile_vnni<R, C>(blocks, x, y, out); }
};

template <typename Instructions, int R, int C>
void one_tile(int64_t n, const uint8_t * rows, size_t row_bytes, const uint8_t * const * columns, float * const * out, int64_t at) {
    const block * x[R];
    const block * y[C];
    float         sums[C][R];
    for (int r = 0; r < R; r++) {
        x[r] = reinterpret_cast<const block *>(rows + size_t(r) * row_bytes);
    }
    for (int c = 0; c < C; c++) {
        y[c] = reinterpret_cast<const block *>(columns[c]);
    }
    Instructions::template tile<R, C>(n / block_values, x, y, sums);
    for (int c = 0; c < C; c++) {
        std::memcpy(out[c] + at, sums[c], sizeof(sums[c]));
    }
}

// Tiles of so many columns, then what is left over.
template <typename Instructions, int R>
void some_rows(int64_t n, const uint8_t * rows, size_t row_bytes, const uint8_t * const * columns, int64_t count, float * const * out, int64_t at) {
    constexpr int C = Instructions::columns;
    int64_t       c = 0;
    for (; c + C <= count; c += C) {
        one_tile<Instructions, R, C>(n, rows, row_bytes, columns + c, out + c, at);
    }
    for (; c < count; c++) {
        one_tile<Instructions, R, 1>(n, rows, row_bytes, columns + c, out + c, at);
    }
}

template <typename Instructions>
void all_rows(int64_t n, const uint8_t * rows, size_t row_bytes, int64_t row_count, const uint8_t * const * columns, int64_t count, float * const * out) {
    constexpr int R = Instructions::rows;
    int64_t       r = 0;
    for (; r + R <= row_count; r += R) {
        some_rows<Instructions, R>(n, rows + size_t(r) * row_bytes, row_bytes, columns, count, out, r);
    }
    for (; r < row_count; r++) {
        some_rows<Instructions, 1>(n, rows + size_t(r) * row_bytes, row_bytes, columns, count, out, r);
    }
}

// Random rows of three lengths, every remainder of rows and columns.
bool same_bits(tile_kernel tile, ggml_vec_dot_t dot) {
    constexpr int64_t rows = 7, columns = 6;
    std::minstd_rand  random(5);
    for (const int64_t n : { 32, 160, 2048 }) {
        const size_t       row_bytes = size_t(n / block_values) * sizeof(block);
        std::vector<block> x(size_t(rows * n / block_values)), y(size_t(columns * n / block_values));
        for (std::vector<block> * blocks : { &x, &y }) {
            for (block & one : *blocks) {
                one.scale = uint16_t(0x1c00 + random() % 0x1000);  // 0.004 to 0.06
                for (int8_t & value : one.values) {
                    value = int8_t(int(random() % 255) - 127);
                }
            }
        }
        std::vector<float>     results(size_t(rows * columns));
        const uint8_t *        from[columns];
        float *                to[columns];
        for (int64_t c = 0; c < columns; c++) {
            from[c] = reinterpret_cast<const uint8_t *>(y.data()) + size_t(c) * row_bytes;
            to[c]   = results.data() + c * rows;
        }
        tile(n, reinterpret_cast<const uint8_t *>(x.data()), row_bytes, rows, from, columns, to);
        for (int64_t i = 0; i < rows * columns; i++) {
            float wanted;
            dot(int(n), &wanted, 0, reinterpret_cast<const uint8_t *>(x.data()) + size_t(i % rows) * row_bytes, 0, from[i / rows], 0, 1);
            if (std::memcmp(&wanted, &results[size_t(i)], sizeof(wanted)) != 0) {
                return false;
            }
        }
    }
    return true;
}

#endif

}  // namespace

std::vector<tile_kernel> q8_tiles([[maybe_unused]] const cpu_kernels & kernels) {
    std::vector<tile_kernel> usable;
#if defined(MOEBIUS_Q8_TILES)
    const ggml_type_traits_cpu * traits = kernels.traits ? kernels.traits(GGML_TYPE_Q8_0) : nullptr;
    if (!traits || !traits->vec_dot || traits->vec_dot_type != GGML_TYPE_Q8_0) {
        return usable;
    }
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    const bool vnni = avx2 && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vnni");
    if (vnni && same_bits(all_rows<with_vnni>, traits->vec_dot)) {
        usable.push_back(all_rows<with_vnni>);
    }
    if (avx2 && same_bits(all_rows<with_avx2>, traits->vec_dot)) {
        usable.push_back(all_rows<with_avx2>);
    }
#endif
    return usable;
}

tile_kernel q8_tile_get(const cpu_kernels & kernels) {
    static const std::vector<tile_kernel> usable = q8_tiles(kernels);
    return usable.empty() ? nullptr : usable.front();
}

}  // namespace moebius
