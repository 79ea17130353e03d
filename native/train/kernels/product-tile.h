// The innermost loops of the CPU: of F32 products a tile of a few rows and some vectors of columns, kept in registers while k passes; rows of softmax and of SwiGLU.
#pragma once

#include <cstdint>

namespace moebius {

constexpr int64_t tile_lanes      = 32;   // columns of a panel
constexpr int64_t tile_depth      = 256;  // most k of a call; quantised blocks begin at its multiples
constexpr int64_t tile_row_stride = tile_depth + 16;  // numbers from one row of the left factor to the next: no power of two, whose rows would push each other out of the cache

// Instructions of one kind of processor.
struct tile_kernels {
    const char * name;
    int          rows;  // most rows of a tile

    // c[r][lane] = (adds ? c[r][lane] : 0) + sum over k of left[r * tile_row_stride + k] * panel[k * tile_lanes + lane], for 1 to `rows` rows and 1 to tile_lanes lanes.
    // Each number is summed by itself, k ascending: it does not depend on how rows and columns are dealt to tiles.
    void (*multiply)(int row_count, int64_t k, const float * left, const float * panel, float * c, int64_t c_stride, int lanes, bool adds);

    // to[j * to_stride + i] = from[i * from_stride + j] for i < rows, j < columns
    void (*transpose)(const float * from, int64_t from_stride, int64_t rows, int64_t columns, float * to, int64_t to_stride);

    // row = softmax(scale * row), scale > 0; exponentials within 2e-7 of themselves
    void (*softmax)(float * row, int64_t count, float scale);

    // d: the gradient of p = softmax(scale * x) -> that of x
    void (*softmax_back)(const float * p, float * d, int64_t count, float scale);

    // to = weight * silu(gate) * up, rows of `count` numbers
    void (*swiglu)(const float * gate, const float * up, float weight, float * to, int64_t count);

    // d: the gradient of that -> those of gate and up, and of weight as the result
    float (*swiglu_back)(const float * gate, const float * up, const float * d, float weight, float * of_gate, float * of_up, int64_t count);

    // to[i * to_stride + j] = factor * from[i * from_stride + j] for i < rows, j < columns
    void (*scale)(const float * from, int64_t from_stride, int64_t rows, int64_t columns, float factor, float * to, int64_t to_stride);

    // Q8_0 as ggml's dequantize_row_q8_0 has it, 32 numbers each block_stride; null: use that
    void (*q8_0_to_float)(const void * blocks, int64_t count, float * values, int64_t block_stride);
};

// The fastest that this processor has: AVX-512, AVX2, or what the compiler makes of plain loops.
const tile_kernels & tile_kernels_get();

// All of them that it has, the fastest first; the plain one is the last.
int tile_kernels_all(const tile_kernels * (&kernels)[3]);

}  // namespace moebius
