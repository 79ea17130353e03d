// Tiles of Q8_0 products have the bits of the CPU backend's kernel, whatever is left over of rows and columns.
#include "check.h"
#include "experts/dispatch/q8-tile.h"
#include "model/backends.h"

#include <chrono>
#include <cstdio>
#include <random>

using namespace moebius;

namespace {

struct matrix {
    int64_t              n, count;
    std::vector<uint8_t> data;

    matrix(int64_t values, int64_t rows, uint32_t seed) : n(values), count(rows), data(size_t(rows) * ggml_row_size(GGML_TYPE_Q8_0, values)) {
        std::mt19937                    random(seed);
        std::normal_distribution<float> normal;
        std::vector<float>              row(static_cast<size_t>(values));
        for (int64_t r = 0; r < rows; r++) {
            for (float & value : row) {
                value = normal(random);
            }
            ggml_quantize_chunk(GGML_TYPE_Q8_0, row.data(), data.data() + size_t(r) * bytes(), 0, 1, values, nullptr);
        }
    }
    size_t          bytes() const { return ggml_row_size(GGML_TYPE_Q8_0, n); }
    const uint8_t * row(int64_t r) const { return data.data() + size_t(r) * bytes(); }
};

// [columns][rows]
std::vector<float> by_tiles(tile_kernel tile, const matrix & rows, const matrix & columns) {
    std::vector<float>           out(size_t(rows.count * columns.count), -1.0f);
    std::vector<const uint8_t *> from;
    std::vector<float *>         to;
    for (int64_t c = 0; c < columns.count; c++) {
        from.push_back(columns.row(c));
        to.push_back(out.data() + c * rows.count);
    }
    tile(rows.n, rows.row(0), rows.bytes(), rows.count, from.data(), columns.count, to.data());
    return out;
}

std::vector<float> by_pairs(ggml_vec_dot_t dot, const matrix & rows, const matrix & columns) {
    std::vector<float> out(size_t(rows.count * columns.count));
    for (int64_t c = 0; c < columns.count; c++) {
        for (int64_t r = 0; r < rows.count; r++) {
            dot(int(rows.n), &out[size_t(c * rows.count + r)], 0, rows.row(r), 0, columns.row(c), 0, 1);
        }
    }
    return out;
}

void same_bits(tile_kernel tile, ggml_vec_dot_t dot) {
    for (const int64_t n : { 32, 64, 224, 1024 }) {
        for (int64_t rows = 1; rows <= 9; rows++) {
            for (int64_t columns = 1; columns <= 9; columns++) {
                const matrix x(n, rows, 1), y(n, columns, 2);
                CHECK(by_tiles(tile, x, y) == by_pairs(dot, x, y));
            }
        }
    }
}

template <typename F> double giga_operations(const matrix & rows, const matrix & columns, F && compute) {
    double best = 1e9;
    for (int i = 0; i < 5; i++) {
        const auto begin = std::chrono::steady_clock::now();
        compute();
        best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    }
    return 2e-9 * double(rows.n) * double(rows.count) * double(columns.count) / best;
}

}  // namespace

int main() {
    backends_load();
    const cpu_kernels & kernels = cpu_kernels_get();
    const auto          tiles   = q8_tiles(kernels);
#if defined(__x86_64__) && defined(__GNUC__)
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    CHECK_EQUAL(tiles.size(), size_t(avx2) + size_t(avx2 && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni")));
    CHECK(q8_tile_get(kernels) == (tiles.empty() ? nullptr : tiles.front()));
#endif
    for (const tile_kernel tile : tiles) {
        const ggml_vec_dot_t dot = kernels.traits(GGML_TYPE_Q8_0)->vec_dot;
        same_bits(tile, dot);
        for (const int64_t columns : { 1, 16 }) {
            const matrix x(1024, 128, 1), y(1024, columns, 2);
            std::printf("%d columns: %.0f GFLOPS by tiles, %.0f by pairs\n", int(columns), giga_operations(x, y, [&] { by_tiles(tile, x, y); }),
                        giga_operations(x, y, [&] { by_pairs(dot, x, y); }));
        }
    }
    return moebius_test::check_result();
}
