// Learning rates by step.
#include "check.h"
#include "rpc/errors.h"
#include "train/descent/schedule.h"

#include <vector>

using namespace moebius_test;
using namespace moebius;

namespace {

learning_rate_schedule made(schedule_kind kind) {
    learning_rate_schedule schedule;
    schedule.kind           = kind;
    schedule.learning_rate  = 0.02;
    schedule.steps          = 100;
    schedule.warmup_steps   = 10;
    schedule.final_fraction = 0.1;
    if (kind == schedule_kind::wsd || kind == schedule_kind::power) {
        schedule.decay_steps = 20;
    }
    schedule.batch_sequences = 8;
    schedule.step_tokens     = 1 << 15;
    return schedule;
}

const std::vector<schedule_kind> all_kinds{ schedule_kind::constant, schedule_kind::linear, schedule_kind::cosine, schedule_kind::wsd, schedule_kind::power };

void every_warm_up_is_linear_and_ends_at_the_rate_that_follows() {
    for (const schedule_kind kind : all_kinds) {
        const learning_rate_schedule schedule = made(kind);
        check_schedule(schedule);
        const double end = learning_rate_at(schedule, 9);
        for (int64_t step = 0; step < 10; step++) {
            CHECK_NEAR(learning_rate_at(schedule, step), end * double(step + 1) / 10, 1e-15);
        }
        CHECK(learning_rate_at(schedule, 10) <= end && learning_rate_at(schedule, 10) > 0.9 * end);
        CHECK(end <= 0.02);
        for (int64_t step = 11; step < 100; step++) {
            CHECK(learning_rate_at(schedule, step) <= learning_rate_at(schedule, step - 1));
        }
    }
}

void schedules_have_the_rates_of_their_formulas() {
    const double full = 0.02, last = 0.002;
    CHECK_EQUAL(learning_rate_at(made(schedule_kind::constant), 99), full);
    CHECK_NEAR(learning_rate_at(made(schedule_kind::linear), 10), full, 1e-15);
    CHECK_NEAR(learning_rate_at(made(schedule_kind::linear), 55), (full + last) / 2, 1e-15);
    CHECK_NEAR(learning_rate_at(made(schedule_kind::linear), 99), full + (last - full) * 89 / 90, 1e-15);
    CHECK_NEAR(learning_rate_at(made(schedule_kind::cosine), 40), last + (full - last) * 0.75, 1e-15);  // a third of the way: cos 60 degrees
    CHECK_NEAR(learning_rate_at(made(schedule_kind::cosine), 55), (full + last) / 2, 1e-15);
    CHECK_EQUAL(learning_rate_at(made(schedule_kind::wsd), 80), full);
    CHECK_NEAR(learning_rate_at(made(schedule_kind::wsd), 95), full + (last - full) * 0.75, 1e-15);
}

void the_power_law_is_of_tokens_and_not_above_the_highest_rate() {
    learning_rate_schedule schedule = made(schedule_kind::power);
    const auto             law      = [](double steps) { return 8 * 4 * std::pow(steps * 32768, -0.51); };
    CHECK(law(11) > 0.02 && law(80) < 0.02);
    CHECK_EQUAL(learning_rate_at(schedule, 10), 0.02);
    CHECK_NEAR(learning_rate_at(schedule, 79), law(80), 1e-15);
    CHECK_NEAR(learning_rate_at(schedule, 90), law(80) * 0.55, 1e-15);  // half of the decay
    // as many tokens in twice as many steps of half the size: rates of a step in proportion to it
    schedule.learning_rate = 1;
    learning_rate_schedule halves = schedule;
    halves.steps                  = 200;
    halves.batch_sequences /= 2;
    halves.step_tokens /= 2;
    CHECK_NEAR(learning_rate_at(halves, 119), learning_rate_at(schedule, 59) / 2, 1e-15);
}

void runs_at_the_edge_have_rates() {
    for (const schedule_kind kind : all_kinds) {
        learning_rate_schedule schedule = made(kind);
        schedule.steps                  = 1;
        schedule.warmup_steps = schedule.decay_steps = 0;
        schedule.final_fraction                      = 0;
        check_schedule(schedule);
        CHECK(learning_rate_at(schedule, 0) > 0);
        CHECK_EQUAL(learning_rate_at(schedule, 1000), learning_rate_at(schedule, 0));
        schedule.warmup_steps = 1;
        check_schedule(schedule);
        CHECK(learning_rate_at(schedule, 0) > 0);
        if (kind == schedule_kind::wsd || kind == schedule_kind::power) {
            schedule.warmup_steps = 0;
            schedule.decay_steps  = 1;
            check_schedule(schedule);
            CHECK(learning_rate_at(schedule, 0) > 0 && learning_rate_at(schedule, 0) <= schedule.learning_rate);
        }
    }
}

void schedules_that_cannot_be_are_refused() {
    const auto refuse = [](const char * name, schedule_kind kind, auto change) {
        learning_rate_schedule schedule = made(kind);
        change(schedule);
        CHECK_THROWS(check_schedule(schedule), user_error, error.code == "request.invalid" && error.details["parameter"] == name);
    };
    refuse("schedule.learningRate", schedule_kind::constant, [](auto & s) { s.learning_rate = -1e-4; });
    refuse("schedule.learningRate", schedule_kind::constant, [](auto & s) { s.learning_rate = std::nan(""); });
    refuse("schedule.steps", schedule_kind::cosine, [](auto & s) { s.steps = 0; });
    refuse("schedule.warmupSteps", schedule_kind::cosine, [](auto & s) { s.warmup_steps = 101; });
    refuse("schedule.warmupSteps", schedule_kind::cosine, [](auto & s) { s.warmup_steps = -1; });
    refuse("schedule.decaySteps", schedule_kind::wsd, [](auto & s) { s.decay_steps = 91; });
    refuse("schedule.decaySteps", schedule_kind::linear, [](auto & s) { s.decay_steps = 5; });
    refuse("schedule.finalFraction", schedule_kind::linear, [](auto & s) { s.final_fraction = 1.5; });
    refuse("schedule.powerA", schedule_kind::power, [](auto & s) { s.power_a = 0; });
    refuse("schedule.powerB", schedule_kind::power, [](auto & s) { s.power_b = 0.51; });
    refuse("schedule.batchSequences", schedule_kind::power, [](auto & s) { s.batch_sequences = 0; });
    refuse("step_tokens", schedule_kind::power, [](auto & s) { s.step_tokens = 0; });
    CHECK(schedule_named("power") == schedule_kind::power && schedule_named("constant") == schedule_kind::constant);
    CHECK_THROWS(schedule_named("cosin"), user_error, error.code == "request.invalid" && std::string(error.what()).find("constant, linear, cosine, wsd, power") != std::string::npos);
}

}  // namespace

int main() {
    every_warm_up_is_linear_and_ends_at_the_rate_that_follows();
    schedules_have_the_rates_of_their_formulas();
    the_power_law_is_of_tokens_and_not_above_the_highest_rate();
    runs_at_the_edge_have_rates();
    schedules_that_cannot_be_are_refused();
    return check_result();
}
