// Products of several rows with several columns in Q8_0 at once: a row's and a column's values are loaded and prepared once for all that meet them, where the CPU
// backend's kernel does it for every pair. Every product is summed in that kernel's order, so it has the same bits.
#pragma once

#include "cpu-kernels.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace moebius {

// out[column][row] = rows[row] . columns[column] for `row_count` rows, `row_bytes` apart, of n values (a multiple of 32).
using tile_kernel = void (*)(int64_t n, const uint8_t * rows, size_t row_bytes, int64_t row_count, const uint8_t * const * columns, int64_t column_count, float * const * out);

// Those that this CPU has (AVX-512 with VNNI, AVX2; the fastest first) and that give the bits of the backend's own kernel on random rows.
std::vector<tile_kernel> q8_tiles(const cpu_kernels & kernels);

// The first of them. Null: there is none, as on other processors.
tile_kernel q8_tile_get(const cpu_kernels & kernels);

}  // namespace moebius
