// The planner's pure parts: steps are as long as their parts, the limit is named, devices share a layer as the engine's scheduler has it.
#include "check.h"
#include "experts/plan/step-forecast.h"

#include <numeric>

using namespace moebius;

namespace {

const std::vector<device_rates> cpu_alone = { { "CPU", 10e9, 100e9, 0, 0 } };

expert_step step_of(double experts, double missing) {
    expert_step step;
    step.experts = experts;
    step.tokens  = experts;
    step.bytes   = 1e6;
    step.share   = { 1 };
    step.missing = missing;
    step.costs   = { { 0, 1e-3, 0 } };
    step.read    = { 2e-3, 3e-3, 0 };
    return step;
}

void nodes_add_up_and_the_largest_resource_is_the_bottleneck() {
    step_work work;
    work.parts    = { { 0, 10, 1e6, 1e6, 2e-4 }, { 0, 2, 0, 5e8, 6e-3 } };
    work.overhead = 1e-3;
    const step_forecast forecast = forecast_step(work, cpu_alone);
    CHECK_NEAR(forecast.seconds, 10 * 2e-4 + 2 * 6e-3 + 1e-3, 1e-12);
    CHECK_EQUAL(forecast.limits[0].resource, "CPU compute");
    CHECK_NEAR(forecast.limits[0].seconds, (10 * 1e6 + 2 * 5e8) / 100e9, 1e-12);
    const auto ram = std::find_if(forecast.limits.begin(), forecast.limits.end(), [](const step_limit & limit) { return limit.resource == "RAM bandwidth"; });
    CHECK(ram != forecast.limits.end());
    CHECK_NEAR(ram->seconds, 10 * 1e6 / 10e9, 1e-12);
}

void experts_that_are_there_cost_what_the_cpu_needs() {
    CHECK_NEAR(expert_seconds(step_of(4, 0)), 4e-3, 1e-12);
}

void experts_that_all_have_to_be_read_wait_for_the_disk() {
    // read 2 + 4 * 3 ms, then the last is computed
    CHECK_NEAR(expert_seconds(step_of(4, 1)), 14e-3 + 1e-3, 1e-9);
}

// Exhaustive over which of the experts are missing.
void misses_are_binomial() {
    const double p        = 0.3;
    double       expected = 0;
    for (int set = 0; set < 16; set++) {
        int misses = 0;
        for (int e = 0; e < 4; e++) {
            misses += (set >> e) & 1;
        }
        const double chance = std::pow(p, misses) * std::pow(1 - p, 4 - misses);
        expected += chance * (misses == 0 ? 4e-3 : std::max(4e-3, 2e-3 + misses * 3e-3 + 1e-3));
    }
    CHECK_NEAR(expert_seconds(step_of(4, p)), expected, 1e-9);
}

void a_gpu_works_beside_the_cpu() {
    expert_step step = step_of(4, 0);
    step.share       = { 0.25, 0.75 };
    step.costs.push_back({ 0, 5e-3, 0 });
    CHECK_NEAR(expert_seconds(step), 3 * 5e-3, 1e-12);
}

void distinct_experts_grow_to_all() {
    CHECK_NEAR(distinct_experts(32, 2, 1), 2, 1e-9);
    CHECK_NEAR(distinct_experts(32, 2, 1e6), 32, 1e-9);
    CHECK(distinct_experts(32, 2, 8) < 16 && distinct_experts(32, 2, 8) > 8);
}

// --- several devices share a layer

// Exhaustive over the pairs of experts that a token can use, two GPUs with half of the experts each.
void experts_of_one_gpu_wait_for_each_other() {
    const spread_question question{ 8, 2, 1, { 8, 4, 4 }, 1, 0, { { 0, 1, 0 }, { 1e-4, 1e-3, 0 }, { 1e-4, 1e-3, 0 } }, {} };
    double                expected = 0;
    int                   pairs    = 0;
    for (int a = 0; a < 8; a++) {
        for (int b = a + 1; b < 8; b++, pairs++) {
            expected += (a % 2 == b % 2) ? 2.1e-3 : 1.1e-3;  // any fixed half of them
        }
    }
    const layer_spread spread = spread_layer(question);
    CHECK_NEAR(spread.seconds, expected / pairs, 0.08 * expected / pairs);  // 200 draws
    CHECK_NEAR(spread.share[1] + spread.share[2], 1.0, 1e-9);
    CHECK_NEAR(spread.share[1], 0.5, 0.08);
}

void replicas_keep_experts_from_waiting() {
    spread_question question{ 8, 2, 1, { 8, 4, 4 }, 1, 0, { { 0, 1, 0 }, { 1e-4, 1e-3, 0 }, { 1e-4, 1e-3, 0 } }, {} };
    question.slots = { 8, 8, 8 };
    CHECK_NEAR(spread_layer(question).seconds, 1.1e-3, 1e-12);
}

void a_prompt_is_split_by_speed() {
    const spread_question question{ 8, 2, 400, { 8, 8, 8 }, 1, 0, { { 0, 0, 1 }, { 0, 0, 1e-6 }, { 0, 0, 3e-6 } }, {} };
    const layer_spread    spread = spread_layer(question);  // 800 uses, 3 of 4 on the faster one
    CHECK_NEAR(spread.seconds, 600e-6, 6e-6);
    CHECK_NEAR(spread.share[1], 0.75, 0.01);
}

void the_cpu_takes_over_what_it_has_and_reads_what_nobody_has() {
    const batch_cost slow{ 0, 10e-3, 0 }, fast{ 0, 1e-3, 0 };
    CHECK_NEAR(spread_layer({ 8, 2, 1, { 8, 8 }, 1, 0, { fast, slow }, {} }).seconds, 2e-3, 1e-12);
    // half of the experts lie in RAM, too: both of a token's do with probability 3 / 14, none with the same
    CHECK_NEAR(spread_layer({ 8, 2, 1, { 4, 8 }, 1, 0, { fast, slow }, {} }).seconds, (3 * 2e-3 + 8 * 10e-3 + 3 * 20e-3) / 14, 1e-3);
    // what the RAM has is what the GPU has not
    CHECK_NEAR(spread_layer({ 8, 2, 1, { 4, 4 }, 1, 0, { fast, slow }, {} }).seconds, 20e-3, 1e-12);
    // nothing is found anywhere: two are read in 2 + 2 * 3 ms, the last is computed then
    const layer_spread disk = spread_layer({ 8, 2, 1, { 2, 1 }, 0, 1, { fast, slow }, { 2e-3, 3e-3, 0 } });
    CHECK_NEAR(disk.seconds, 8e-3 + 1e-3, 1e-12);
    CHECK_NEAR(disk.share[0], 1.0, 1e-9);
    // with a copy for every second use one of two is read on average
    // 100 tokens for each of 8 experts, none of them on the GPU but one: it fetches the others from RAM where the CPU would need longer
    spread_question prompt{ 8, 2, 400, { 8, 1 }, 0.125, 0, { { 0, 1e-3, 1e-4 }, { 0, 1e-5, 1e-6 } }, {}, { 0, 2e-3 } };
    const double    fetching = spread_layer(prompt).seconds;
    prompt.upload.clear();
    CHECK_NEAR(spread_layer(prompt).seconds, 7 * 11e-3, 1e-3);
    CHECK(fetching < 20e-3);
    const layer_spread half = spread_layer({ 8, 2, 1, { 2, 4 }, 0.5, 0.5, { fast, fast }, { 0, 3e-3, 0 } });
    CHECK_NEAR(half.share[1], 0.5, 0.08);
    CHECK(half.seconds > 1e-3 && half.seconds < 7e-3);
}

}  // namespace

int main() {
    nodes_add_up_and_the_largest_resource_is_the_bottleneck();
    experts_that_are_there_cost_what_the_cpu_needs();
    experts_that_all_have_to_be_read_wait_for_the_disk();
    misses_are_binomial();
    a_gpu_works_beside_the_cpu();
    distinct_experts_grow_to_all();
    experts_of_one_gpu_wait_for_each_other();
    replicas_keep_experts_from_waiting();
    a_prompt_is_split_by_speed();
    the_cpu_takes_over_what_it_has_and_reads_what_nobody_has();
    return moebius_test::check_result();
}
