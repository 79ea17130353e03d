#include "movement.h"

#include <ggml.h>

#include <algorithm>
#include <cmath>

namespace moebius {

namespace {

// a: rows of n_in numbers. [lora_rank x lora_rank]: dot products of all pairs of rows.
std::vector<double> products_of_rows(const float * a, size_t n_in, size_t lora_rank) {
    std::vector<double> products(lora_rank * lora_rank, 0.0);
    for (size_t i = 0; i < lora_rank; i++) {
        for (size_t j = 0; j <= i; j++) {
            double sum = 0;
            for (size_t k = 0; k < n_in; k++) {
                sum += double(a[i * n_in + k]) * double(a[j * n_in + k]);
            }
            products[i * lora_rank + j] = products[j * lora_rank + i] = sum;
        }
    }
    return products;
}

// b: n_out rows of lora_rank numbers. The same of b's columns.
std::vector<double> products_of_columns(const float * b, size_t n_out, size_t lora_rank) {
    std::vector<double> products(lora_rank * lora_rank, 0.0);
    for (size_t row = 0; row < n_out; row++, b += lora_rank) {
        for (size_t i = 0; i < lora_rank; i++) {
            for (size_t j = 0; j < lora_rank; j++) {
                products[i * lora_rank + j] += double(b[i]) * double(b[j]);
            }
        }
    }
    return products;
}

}  // namespace

std::vector<double> adapter_norms(const adapter & adapter, const adapted_tensor & tensor) {
    const train_parameter & a = adapter.parameters[tensor.a];  // [n_in, lora_rank, experts]
    const train_parameter & b = adapter.parameters[tensor.b];  // [lora_rank, n_out, experts]
    GGML_ASSERT(a.n1 == tensor.lora_rank && b.n0 == tensor.lora_rank && a.n2 == b.n2);
    const size_t        lora_rank = size_t(tensor.lora_rank), n_in = size_t(a.n0), n_out = size_t(b.n1);
    std::vector<double> norms;
    for (size_t expert = 0; expert < size_t(a.n2); expert++) {
        const std::vector<double> rows    = products_of_rows(&a.values[expert * n_in * lora_rank], n_in, lora_rank);
        const std::vector<double> columns = products_of_columns(&b.values[expert * n_out * lora_rank], n_out, lora_rank);
        double                    square  = 0;
        for (size_t i = 0; i < rows.size(); i++) {
            square += rows[i] * columns[i];
        }
        norms.push_back(std::fabs(double(tensor.scale())) * std::sqrt(std::max(square, 0.0)));  // rounding may leave less than nothing
    }
    return norms;
}

std::vector<unmoved_part> unmoved_parts(const std::vector<train_parameter> & parameters, const std::vector<std::vector<float>> & before) {
    GGML_ASSERT(before.size() == parameters.size());
    std::vector<unmoved_part> unmoved;
    for (size_t p = 0; p < parameters.size(); p++) {
        const train_parameter & parameter = parameters[p];
        const ptrdiff_t         matrix    = ptrdiff_t(parameter.n0 * parameter.n1);
        GGML_ASSERT(before[p].size() == parameter.values.size());
        for (int64_t i = 0; i < parameter.n2; i++) {
            const ptrdiff_t first = ptrdiff_t(i) * matrix;
            if (std::equal(parameter.values.begin() + first, parameter.values.begin() + first + matrix, before[p].begin() + first)) {
                const auto gradient = parameter.gradient.begin() + first;
                unmoved.push_back({ parameter.name, parameter.n2 > 1 ? i : -1, std::any_of(gradient, gradient + matrix, [](float x) { return x != 0; }) });
            }
        }
    }
    return unmoved;
}

}  // namespace moebius
