#include "cost-model.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace moebius {

namespace {

constexpr double fading       = 0.98;  // of what was seen, with each observation
constexpr double prior_weight = 0.05;  // of the prior, against one observation

}  // namespace

cost_model::cost_model(const batch_cost & before) : prior{ before.fixed, before.per_expert, before.per_token } {}

void cost_model::fade() {
    for (size_t i = 0; i < 3; i++) {
        for (double & product : products[i]) {
            product *= fading;
        }
        sums[i] *= fading;
    }
}

void cost_model::observe(double experts, double tokens, double seconds) {
    fade();
    const vector3 row{ 1 / seconds, experts / seconds, tokens / seconds };
    for (size_t i = 0; i < 3; i++) {
        for (size_t j = 0; j < 3; j++) {
            products[i][j] += row[i] * row[j];
        }
        sums[i] += row[i];
    }
}

// Ridge regression towards the prior, each part in units of its own: Gaussian elimination with pivots.
cost_model::vector3 cost_model::solve() const {
    std::array<std::array<double, 4>, 3> rows;
    for (size_t i = 0; i < 3; i++) {
        const double unit  = std::max(prior[i], 1e-9);
        const double ridge = prior_weight / (unit * unit);
        for (size_t j = 0; j < 3; j++) {
            rows[i][j] = products[i][j] + (i == j ? ridge : 0);
        }
        rows[i][3] = sums[i] + ridge * prior[i];
    }
    for (size_t i = 0; i < 3; i++) {
        const auto pivot = std::max_element(rows.begin() + ptrdiff_t(i), rows.end(), [i](const auto & a, const auto & b) { return std::abs(a[i]) < std::abs(b[i]); });
        std::swap(rows[i], *pivot);
        for (size_t j = 0; j < 3; j++) {
            const double factor = j == i ? 0 : rows[j][i] / rows[i][i];
            for (size_t k = 0; k < 4; k++) {
                rows[j][k] -= factor * rows[i][k];
            }
        }
    }
    return { rows[0][3] / rows[0][0], rows[1][3] / rows[1][1], rows[2][3] / rows[2][2] };
}

batch_cost cost_model::estimate() const {
    const vector3 found = solve();
    return { std::max(found[0], 0.0), std::max(found[1], 0.0), std::max(found[2], 1e-12) };
}

}  // namespace moebius
