// Products, softmax and SwiGLU of the CPU on every kind of instructions that this processor has, against double precision; products with the same bits however the work is dealt.
#include "check.h"
#include "train/kernels/product.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>

using namespace moebius;
using namespace moebius_test;

namespace {

struct matrix {
    int64_t            n0 = 0, n1 = 0;
    ggml_type          type;
    std::vector<char>  bytes;
    std::vector<float> values;  // what `bytes` stand for

    matrix(int64_t n0, int64_t n1, ggml_type type, std::minstd_rand & random) : n0(n0), n1(n1), type(type), bytes(ggml_row_size(type, n0) * size_t(n1)), values(size_t(n0 * n1)) {
        for (float & value : values) {
            value = float(random() % 2001) / 1000 - 1;
        }
        if (type == GGML_TYPE_F32) {
            std::memcpy(bytes.data(), values.data(), bytes.size());
        } else {
            ggml_quantize_chunk(type, values.data(), bytes.data(), 0, n1, n0, nullptr);
            ggml_get_type_traits(type)->to_float(bytes.data(), values.data(), n0 * n1);
        }
    }
    right_factor right(bool by_k) const { return { bytes.data(), type, ggml_row_size(type, n0), by_k }; }
    left_factor  left(float factor) const { return { values.data(), n0, 1, factor }; }
    left_factor  left_transposed(float factor) const { return { values.data(), 1, n0, factor }; }
};

struct wanted_product {
    std::vector<double> sums, sizes;  // [m][n]; of absolute values

    wanted_product(int64_t m, int64_t n) : sums(size_t(m * n)), sizes(size_t(m * n)) {}

    void add(const product_term & term, const matrix & right, int64_t m, int64_t n) {
        for (int64_t i = 0; i < m * n; i++) {
            for (int64_t k = 0; k < term.k; k++) {
                const double x = double(term.left.data[i / n * term.left.row_stride + k * term.left.k_stride]) * double(term.left.factor);
                const double y = double(right.values[size_t(term.right.by_k ? k * right.n0 + i % n : i % n * right.n0 + k)]);
                sums[size_t(i)] += x * y;
                sizes[size_t(i)] += std::fabs(x * y);
            }
        }
    }
};

std::vector<float> computed(const tile_kernels & kernels, const std::vector<product_term> & terms, int64_t m, int64_t n, int64_t rows_of_piece) {
    std::vector<float> c(size_t(m * n), NAN);
    for (int64_t n_begin = 0; n_begin < n; n_begin += product_columns) {
        for (int64_t m_begin = 0; m_begin < m; m_begin += rows_of_piece) {
            compute_product(kernels, terms, c.data(), n, { m_begin, std::min(m, m_begin + rows_of_piece), n_begin, std::min(n, n_begin + product_columns) });
        }
    }
    return c;
}

// x w, or x w^T, plus a second product of few k, which is scaled: what a matrix with an adapter is.
void two_terms(const tile_kernels & kernels, ggml_type type, bool by_k, bool transposed, int64_t m, int64_t n, int64_t k) {
    std::minstd_rand   random(uint32_t(m * 7 + n * 3 + k));
    const matrix       x(transposed ? m : k, transposed ? k : m, GGML_TYPE_F32, random), w(by_k ? n : k, by_k ? k : n, type, random);
    const matrix       inner(5, m, GGML_TYPE_F32, random), b(by_k ? n : 5, by_k ? 5 : n, GGML_TYPE_F32, random);
    const product_term terms[2] = { { transposed ? x.left_transposed(1) : x.left(1), w.right(by_k), k }, { inner.left(0.5f), b.right(by_k), 5 } };
    wanted_product     wanted(m, n);
    wanted.add(terms[0], w, m, n);
    wanted.add(terms[1], b, m, n);
    const std::vector<float> c = computed(kernels, { terms[0], terms[1] }, m, n, m);
    for (size_t i = 0; i < c.size(); i++) {
        // roundings of a sum of k numbers one by one: at most k * 2^-24 of their sizes, about the root of it in truth
        if (!(std::fabs(double(c[i]) - wanted.sums[i]) <= 4e-7 * std::sqrt(double(k + 5)) * wanted.sizes[i])) {
            std::fprintf(stderr, "%s, %s, %d x %d x %d: %g, not %g\n", kernels.name, ggml_type_name(type), int(m), int(n), int(k), double(c[i]), wanted.sums[i]);
            CHECK(false);
            return;
        }
    }
    const std::vector<float> apart = computed(kernels, { terms[0], terms[1] }, m, n, 3);
    CHECK(std::memcmp(c.data(), apart.data(), c.size() * sizeof(float)) == 0);
}

void all_shapes(const tile_kernels & kernels) {
    for (const bool by_k : { false, true }) {
        for (const bool transposed : { false, true }) {
            for (const int64_t m : { 1, 2, 13, 14, 15, 31 }) {
                for (const int64_t n : { 1, 7, 16, 17, 31, 32, 33, 48, 300 }) {
                    for (const int64_t k : { 1, 9, 256, 270 }) {
                        two_terms(kernels, GGML_TYPE_F32, by_k, transposed, m, n, k);
                    }
                }
            }
            for (const ggml_type type : { GGML_TYPE_F16, GGML_TYPE_BF16, GGML_TYPE_Q8_0, GGML_TYPE_Q4_K, GGML_TYPE_Q6_K, GGML_TYPE_MXFP4 }) {
                two_terms(kernels, type, by_k, transposed, 19, 512, 512);
            }
        }
    }
    CHECK(computed(kernels, {}, 3, 40, 2) == std::vector<float>(120, 0.0f));  // nobody's product
}

// Rows of softmax and their gradients against double precision: what is exponentiated is up to 14, whose rounding is 8e-7. Numbers far below the largest are 0.
void softmax_rows(const tile_kernels & kernels) {
    constexpr float scale = 0.7f;
    for (const size_t count : { 1, 5, 16, 17, 64, 100 }) {
        std::minstd_rand    random(uint32_t(count) + 1);
        std::vector<float>  p(count), d(count);
        std::vector<double> wanted(count);
        double              most = -INFINITY, sum = 0, dot = 0;
        for (size_t i = 0; i < count; i++) {
            p[i] = i % 7 == 3 ? -300.0f : float(random() % 2001) / 100 - 10;
            d[i] = float(random() % 2001) / 1000 - 1;
            most = std::max(most, double(scale) * double(p[i]));
        }
        for (size_t i = 0; i < count; i++) {
            sum += wanted[i] = std::exp(double(scale) * double(p[i]) - most);
        }
        std::vector<float> of_x = d;
        kernels.softmax(p.data(), int64_t(count), scale);
        kernels.softmax_back(p.data(), of_x.data(), int64_t(count), scale);
        for (size_t i = 0; i < count; i++) {
            dot += wanted[i] / sum * double(d[i]);
        }
        for (size_t i = 0; i < count; i++) {
            const double share = wanted[i] / sum;
            CHECK(std::fabs(double(p[i]) - share) <= 2e-6 * share + 1e-37);
            CHECK(std::fabs(double(of_x[i]) - double(scale) * share * (double(d[i]) - dot)) <= 4e-6 * share + 1e-37);
        }
    }
}

// What is no number stays that: the guardian looks for it.
void softmax_of_nan(const tile_kernels & kernels) {
    std::vector<float> p(20, 1.0f);
    p[17] = NAN;
    kernels.softmax(p.data(), int64_t(p.size()), 1);
    CHECK(std::isnan(p[17]) && std::isnan(p[0]));
}

// Against double precision, gates from -90 to 90.
void swiglu_rows(const tile_kernels & kernels) {
    constexpr float weight = 0.3f;
    for (const size_t count : { 1, 16, 100 }) {
        std::minstd_rand   random(uint32_t(count) + 2);
        std::vector<float> gate(count), up(count), d(count), y(count), of_gate(count), of_up(count);
        for (size_t i = 0; i < count; i++) {
            gate[i] = (i % 5 == 0 ? 10 : 1) * (float(random() % 1801) / 100 - 9);
            up[i]   = float(random() % 2001) / 1000 - 1;
            d[i]    = float(random() % 2001) / 1000 - 1;
        }
        kernels.swiglu(gate.data(), up.data(), weight, y.data(), int64_t(count));
        const float of_weight = kernels.swiglu_back(gate.data(), up.data(), d.data(), weight, of_gate.data(), of_up.data(), int64_t(count));
        double      sum = 0, most = 0;
        for (size_t i = 0; i < count; i++) {
            const double x = double(gate[i]), share = 1 / (1 + std::exp(-x)), silu = x * share, scale = std::fabs(x) + 1;
            CHECK(std::fabs(double(y[i]) - double(weight) * silu * double(up[i])) <= 4e-7 * scale);
            CHECK(std::fabs(double(of_up[i]) - double(weight) * silu * double(d[i])) <= 4e-7 * scale);
            CHECK(std::fabs(double(of_gate[i]) - double(weight) * double(d[i]) * double(up[i]) * share * (1 + x * (1 - share))) <= 4e-7 * scale);
            sum += double(d[i]) * silu * double(up[i]);
            most += std::fabs(silu);
        }
        CHECK(std::fabs(double(of_weight) - sum) <= 1e-6 * most + 1e-7);
    }
}

void added_product(const tile_kernels & kernels) {
    const std::vector<float> x{ 1, 2, 3, 4 }, w{ 5, 6, 7, 8 };
    std::vector<float>       c{ 100, 200, 300, 400 };
    compute_product(kernels, { { { x.data(), 2 }, { w.data(), GGML_TYPE_F32, 8, true }, 2 } }, c.data(), 2, { 0, 2, 0, 2 }, true);
    CHECK(c == std::vector<float>({ 119, 222, 343, 450 }));
}

}  // namespace

int main() {
    const tile_kernels * kernels[3];
    const int            count = tile_kernels_all(kernels);
    for (int i = 0; i < count; i++) {
        std::printf("%s\n", kernels[i]->name);
        all_shapes(*kernels[i]);
        softmax_rows(*kernels[i]);
        softmax_of_nan(*kernels[i]);
        swiglu_rows(*kernels[i]);
        added_product(*kernels[i]);
    }
    return check_result();
}
