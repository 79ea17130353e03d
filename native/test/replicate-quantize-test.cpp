// Copies of experts paid for by others in fewer bits: against brute force, and on replayed load with the same bytes.
#include "check.h"
#include "experts/policy/replicate-quantize.h"
#include "experts/simulate/device-replay.h"

#include <numeric>

using namespace moebius;

namespace {

precision_request random_request(std::mt19937 & random, uint32_t experts, uint32_t devices) {
    precision_request request;
    for (uint32_t e = 0; e < experts; e++) {
        request.loads.push_back(double(random() % 100) * double(1 + random() % 5));
        request.importance.push_back(double(random() % 1000));
        request.stay.push_back(random() % 6 == 0);
    }
    request.full_bytes = 34;
    request.low_bytes  = 18;
    for (uint32_t d = 0; d < devices; d++) {
        request.speeds.push_back(1.0 + double(random() % 3));
        request.bytes.push_back(random() % (2 * 34 * experts / devices));
    }
    request.share = double(random() % 11) / 10;
    return request;
}

void budgets_are_never_exceeded_and_super_experts_stay() {
    std::mt19937 random(4);
    uint32_t     lowered = 0;
    for (int round = 0; round < 300; round++) {
        const uint32_t          experts = 2 + random() % 20;
        const precision_request request = random_request(random, experts, 1 + random() % 5);
        const precision_plan    plan    = plan_precision(request);
        for (size_t d = 0; d < request.bytes.size(); d++) {
            CHECK(plan.full_slots[d] * request.full_bytes + plan.low_slots[d] * request.low_bytes <= request.bytes[d]);
        }
        CHECK(plan.low_count() <= request.share * experts);
        double most = 0, least = INFINITY;
        for (uint32_t e = 0; e < experts; e++) {
            CHECK(!(plan.low[e] && request.stay[e]));
            most  = plan.low[e] ? std::max(most, request.importance[e]) : most;
            least = !plan.low[e] && !request.stay[e] ? std::min(least, request.importance[e]) : least;
        }
        CHECK(most <= least);  // the least important ones
        lowered += plan.low_count();
        const precision_forecast with = forecast(request, plan), without = forecast(request, plan_with(request, 0));
        CHECK(with.uncovered <= without.uncovered);
        CHECK(with.uncovered < without.uncovered || with.makespan <= without.makespan);
    }
    CHECK(lowered > 100);
}

// Of every set of experts in low precision and every way to fill slots, by what the plan's slots allow: the makespan of the best.
double best_makespan(const precision_request & request) {
    const uint32_t experts = uint32_t(request.loads.size()), devices = uint32_t(request.speeds.size());
    double         best = INFINITY;
    layer_placement placement(experts, 0);
    std::vector<bool> low;
    const std::function<void(uint32_t, std::vector<uint64_t>)> place = [&](uint32_t e, std::vector<uint64_t> left) {
        if (e == experts) {
            best = std::min(best, split_makespan(request.loads, placement, request.speeds));
            return;
        }
        for (device_set set = 1; set < 1u << devices; set++) {
            std::vector<uint64_t> next = left;
            bool                  fits = true;
            for (uint32_t d = 0; d < devices; d++) {
                const uint64_t bytes = set >> d & 1 ? (low[e] ? request.low_bytes : request.full_bytes) : 0;
                fits                 = fits && bytes <= next[d];
                next[d] -= fits ? bytes : 0;
            }
            if (fits) {
                placement[e] = set;
                place(e + 1, next);
            }
        }
    };
    for (uint32_t count = 0; count <= uint32_t(request.share * experts); count++) {
        low = least_important(request.importance, request.stay, count);
        place(0, request.bytes);
    }
    return best;
}

void plans_are_near_the_best_that_the_bytes_allow() {
    std::mt19937 random(8);
    double       own = 0, best = 0, before = 0;
    for (int round = 0; round < 40; round++) {
        precision_request request;
        request.full_bytes = 10;
        request.low_bytes  = 5;
        request.speeds     = { 1, 1 };
        request.bytes      = { 30, 30 };  // six experts have room
        request.share      = 0.5;
        for (int e = 0; e < 6; e++) {
            request.loads.push_back(e == 0 ? 100 : 5 + random() % 20);
            request.importance.push_back(request.loads.back() * double(1 + random() % 4));
        }
        own += forecast(request, plan_precision(request)).makespan;
        best += best_makespan(request);
        before += forecast(request, plan_with(request, 0)).makespan;
    }
    std::fprintf(stderr, "makespan: %.0f with every expert in full, %.0f as planned, %.0f at best\n", before, own, best);
    CHECK(own < 0.9 * before);
    CHECK(own <= 1.05 * best);
}

void nothing_is_lowered_where_nothing_is_gained() {
    precision_request request;
    request.full_bytes = 10;
    request.low_bytes  = 5;
    request.speeds     = { 1, 1 };
    request.bytes      = { 20, 20 };
    request.share      = 1;
    request.loads = request.importance = { 5, 5, 5, 5 };
    CHECK_EQUAL(plan_precision(request).low_count(), 0u);
    request.bytes = { 15, 15 };  // room for one each: the others get a place by being small
    request.importance = { 4, 3, 2, 1 };
    const precision_plan plan = plan_precision(request);
    CHECK((plan.low == std::vector<bool>{ false, false, true, true }));
    CHECK_EQUAL(forecast(request, plan).uncovered, 0.0);
    request.low_bytes = 10;
    CHECK_EQUAL(plan_precision(request).low_count(), 0u);
    request.speeds[0] = 0;
    CHECK_THROWS(plan_precision(request), user_error, error.code == "request.invalid");
}

void who_is_low_changes_only_for_a_reason() {
    const std::vector<bool> low = { true, true, false, false, false };
    CHECK(least_important_now(low, { 10, 10.5, 9, 30, 40 }, {}) == low);  // not 1.2 times less
    CHECK((least_important_now(low, { 10, 12, 9, 30, 40 }, {}) == std::vector<bool>{ true, false, true, false, false }));
    CHECK((least_important_now(low, { 50, 60, 9, 8, 40 }, {}) == std::vector<bool>{ false, false, true, true, false }));
    CHECK((least_important_now(low, { 1, 1, 9, 8, 40 }, { true, false, false, false, false }) == std::vector<bool>{ false, true, false, true, false }));
    CHECK((least_important_now(low, { 1, 1, 9, 8, 40 }, { true, true, true, false, true }) == std::vector<bool>{ false, false, false, true, false }));
}

// At the same bytes the devices end earlier than with every copy in full precision.
void the_makespan_falls_on_large_batches() {
    synthetic_load_settings made;
    made.batches = 200;
    for (const uint32_t devices : { 4u, 8u }) {
        const auto             batches = synthetic_loads(made);
        device_replay_settings settings;
        settings.rig    = { std::vector<double>(devices, 1.0), std::vector<uint32_t>(devices, made.experts / devices) };
        const auto replay = [&](const char * policy) {
            settings.policy = policy;
            return replay_on_devices(batches, settings, [] {});
        };
        const auto eplb = replay("eplb-split"), full = replay("adaptive"), low = replay("replicate-quantize");
        std::fprintf(stderr, "%u devices: max/mean %.3f (EPLB's placement %.3f) with all in full, %.3f with %.1f%% of assignments in low precision\n", devices, full.balance_mean, eplb.balance_mean,
                     low.balance_mean, low.low_share * 100);
        CHECK(low.balance_mean - 1 < 0.8 * (full.balance_mean - 1));
        CHECK(low.makespan < full.makespan);
        CHECK(low.makespan < eplb.makespan);
        CHECK(low.low_share > 0 && low.low_share < 0.15);
        CHECK_EQUAL(full.low_share, 0.0);
    }
}

}  // namespace

int main() {
    budgets_are_never_exceeded_and_super_experts_stay();
    plans_are_near_the_best_that_the_bytes_allow();
    nothing_is_lowered_where_nothing_is_gained();
    who_is_low_changes_only_for_a_reason();
    the_makespan_falls_on_large_batches();
    return moebius_test::check_result();
}
