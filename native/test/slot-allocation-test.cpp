// Sharing out slots among layers: sums and limits, and against the best of all ways to do it.
#include "check.h"
#include "experts/policy/slot-allocation.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <random>

using namespace moebius;

namespace {

uint64_t sum_of(const std::vector<uint32_t> & slots) {
    return std::accumulate(slots.begin(), slots.end(), uint64_t(0));
}

double misses_of(const std::vector<uint32_t> & slots, const std::vector<miss_curve> & curves) {
    double sum = 0.0;
    for (size_t layer = 0; layer < slots.size(); layer++) {
        sum += curves[layer][slots[layer]];
    }
    return sum;
}

// Falling; convex if `convex`.
std::vector<miss_curve> random_curves(const slot_limits & limits, bool convex, uint32_t seed) {
    std::mt19937            random(seed);
    std::vector<miss_curve> curves;
    for (uint32_t layer = 0; layer < limits.layers; layer++) {
        std::vector<double> steps;
        for (uint32_t slot = 0; slot < limits.experts; slot++) {
            steps.push_back(double(random() % 1000) * (1 + layer));
        }
        if (convex) {
            std::sort(steps.rbegin(), steps.rend());
        }
        miss_curve curve{ std::accumulate(steps.begin(), steps.end(), 0.0) };
        for (const double step : steps) {
            curve.push_back(curve.back() - step);
        }
        curves.push_back(curve);
    }
    return curves;
}

double fewest_misses(const slot_limits & limits, uint64_t budget, const std::vector<miss_curve> & curves) {
    std::function<double(uint32_t, uint64_t)> from = [&](uint32_t layer, uint64_t left) -> double {
        if (layer == limits.layers) {
            return left == 0 ? 0.0 : HUGE_VAL;
        }
        double best = HUGE_VAL;
        for (uint32_t own = limits.least; own <= std::min<uint64_t>(limits.experts, left); own++) {
            best = std::min(best, curves[layer][own] + from(layer + 1, left - own));
        }
        return best;
    };
    return from(0, budget);
}

void every_way_spends_the_budget_within_the_limits() {
    for (const slot_limits limits : { slot_limits{ 1, 4, 1 }, slot_limits{ 3, 8, 2 }, slot_limits{ 5, 6, 6 } }) {
        const std::vector<miss_curve> curves = random_curves(limits, false, 1);
        for (uint64_t budget = 0; budget <= 60; budget++) {
            const uint64_t spent = std::clamp<uint64_t>(budget, limits.layers * limits.least, limits.layers * limits.experts);
            for (const std::vector<uint32_t> & slots : { slots_uniform(limits, budget), slots_shallow(limits, budget), slots_marginal(limits, budget, curves),
                                                         slots_optimal(limits, budget, curves) }) {
                CHECK_EQUAL(sum_of(slots), spent);
                CHECK(std::all_of(slots.begin(), slots.end(), [&](uint32_t own) { return own >= limits.least && own <= limits.experts; }));
            }
        }
    }
    CHECK(slots_uniform({ 0, 8, 1 }, 10).empty());
}

void uniform_gives_the_rest_to_the_first_layers() {
    CHECK((slots_uniform({ 3, 8, 1 }, 11) == std::vector<uint32_t>{ 4, 4, 3 }));
}

void shallow_layers_get_more() {
    CHECK((slots_shallow({ 3, 32, 1 }, 12) == std::vector<uint32_t>{ 6, 4, 2 }));
    CHECK((slots_shallow({ 3, 5, 1 }, 12) == std::vector<uint32_t>{ 5, 5, 2 }));  // what the first cannot take goes on
}

void the_optimum_is_that_of_trying_all() {
    for (uint32_t seed = 0; seed < 40; seed++) {
        const slot_limits             limits{ 4, 6, 1 + seed % 2 };
        const std::vector<miss_curve> curves = random_curves(limits, seed % 3 == 0, seed);
        for (const uint64_t budget : { 8u, 11u, 15u, 20u, 24u }) {
            CHECK_NEAR(misses_of(slots_optimal(limits, budget, curves), curves), fewest_misses(limits, budget, curves), 1e-6);
        }
    }
}

void marginal_benefit_is_optimal_on_convex_curves_and_near_it_on_others() {
    double greedy  = 0.0;
    double best    = 0.0;
    double uniform = 0.0;
    for (uint32_t seed = 0; seed < 40; seed++) {
        const slot_limits             limits{ 5, 8, 1 };
        const std::vector<miss_curve> convex = random_curves(limits, true, seed);
        const std::vector<miss_curve> ragged = random_curves(limits, false, seed);
        for (const uint64_t budget : { 7u, 12u, 20u, 33u }) {
            CHECK_NEAR(misses_of(slots_marginal(limits, budget, convex), convex), misses_of(slots_optimal(limits, budget, convex), convex), 1e-6);
            greedy += misses_of(slots_marginal(limits, budget, ragged), ragged);
            best += misses_of(slots_optimal(limits, budget, ragged), ragged);
            uniform += misses_of(slots_uniform(limits, budget), ragged);
        }
    }
    CHECK(greedy >= best);
    CHECK(greedy < 1.02 * best);
    CHECK(greedy < 0.9 * uniform);
}

void a_stretch_without_benefit_is_jumped() {
    // the first two slots of layer 0 save nothing, the third nearly everything
    const std::vector<miss_curve> curves = { { 100, 100, 100, 0, 0 }, { 100, 90, 80, 70, 60 } };
    CHECK((slots_marginal({ 2, 4, 1 }, 4, curves) == std::vector<uint32_t>{ 3, 1 }));
}

void what_is_too_much_is_taken_from_who_has_most() {
    const slot_limits limits{ 3, 8, 2 };
    CHECK((slots_within(limits, { 1, 9, 4 }, { 10, 10, 10 }, 1000) == std::vector<uint32_t>{ 2, 8, 4 }));
    CHECK((slots_within(limits, { 2, 8, 4 }, { 10, 10, 10 }, 110) == std::vector<uint32_t>{ 2, 5, 4 }));
    CHECK((slots_within(limits, { 5, 5, 5 }, { 10, 30, 10 }, 200) == std::vector<uint32_t>{ 4, 4, 4 }));   // 250 bytes; from behind: 10, 30, 10
    CHECK((slots_within(limits, { 5, 5, 5 }, { 10, 10, 10 }, 50) == std::vector<uint32_t>{ 2, 2, 2 }));    // never below the least
}

void curves_are_straight_between_what_was_measured() {
    CHECK((curve_through({ 1, 3 }, { 10, 4 }, 5) == miss_curve{ 10, 10, 7, 4, 4, 4 }));
    CHECK((curve_through({ 0, 2 }, { 10, 4 }, 2) == miss_curve{ 10, 7, 4 }));
    CHECK((curve_through({}, {}, 2) == miss_curve{ 0, 0, 0 }));
}

}  // namespace

int main() {
    every_way_spends_the_budget_within_the_limits();
    uniform_gives_the_rest_to_the_first_layers();
    shallow_layers_get_more();
    the_optimum_is_that_of_trying_all();
    marginal_benefit_is_optimal_on_convex_curves_and_near_it_on_others();
    a_stretch_without_benefit_is_jumped();
    what_is_too_much_is_taken_from_who_has_most();
    curves_are_straight_between_what_was_measured();
    return moebius_test::check_result();
}
