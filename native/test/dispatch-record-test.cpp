// What the dispatcher remembers of batches: costs follow what was seen, and every second and token is counted once.
#include "check.h"
#include "experts/dispatch/dispatch-record.h"

using namespace moebius;

namespace {

const batch_cost guess{ 0.001, 0.01, 0.001 };

void costs_begin_with_the_guess_then_what_was_measured() {
    dispatch_record record(2, 2, guess);
    CHECK_EQUAL(record.costs().size(), 3u);
    CHECK_NEAR(record.costs()[1].of(4, 8), guess.of(4, 8), 1e-9);
    record.set_costs(1, { 0.0, 0.1, 0.0 }, { 0.0, 0.3, 0.0 });
    CHECK_NEAR(record.costs()[0].of(4, 8), guess.of(4, 8), 1e-9);
    CHECK_NEAR(record.costs()[1].of(4, 8), 0.4, 1e-9);
    CHECK_NEAR(record.fetch_cost(1).of(4, 8), 1.2, 1e-9);
    CHECK_NEAR(record.costs()[2].of(4, 8), guess.of(4, 8), 1e-9);  // the CPU
}

void costs_follow_what_batches_took() {
    dispatch_record record(1, 2, guess);
    for (uint32_t i = 0; i < 200; i++) {
        const uint32_t experts = 1 + i % 5, tokens = experts * (1 + i % 3);
        record.computed(0, experts, tokens, 0.02 * experts);
        record.fetched(1, { experts, 10, tokens }, 0.05 * experts);
        record.ended(0, { 0, 0, 0.03 * experts }, 1, { experts, tokens, true });
    }
    CHECK_NEAR(record.costs()[0].of(4, 8), 0.08, 0.01);
    CHECK_NEAR(record.fetch_cost(1).of(4, 8), 0.20, 0.02);
    CHECK_NEAR(record.costs()[2].of(4, 8), 0.12, 0.015);
    CHECK_NEAR(record.costs()[1].of(4, 8), guess.of(4, 8), 1e-9);  // of others nothing was seen
    CHECK_NEAR(record.fetch_cost(0).of(4, 8), guess.of(4, 8), 1e-9);
}

void a_device_that_is_spared_gets_another_chance() {
    dispatch_record record(1, 2, guess);
    for (uint32_t i = 0; i < 100; i++) {
        record.computed(0, 1 + i % 4, 1 + i % 4, 0.1 * (1 + i % 4));
    }
    CHECK(record.costs()[0].of(2, 2) > 0.15);
    for (uint32_t i = 0; i < 1000; i++) {
        record.spared(1);
    }
    CHECK(record.costs()[0].of(2, 2) > 0.15);
    for (uint32_t i = 0; i < 1000; i++) {
        record.spared(0);
    }
    CHECK_NEAR(record.costs()[0].of(2, 2), guess.of(2, 2), 1e-3);
}

void the_cpu_learns_nothing_while_it_waits_for_the_disk() {
    dispatch_record record(1, 1, guess);
    for (uint32_t i = 0; i < 50; i++) {
        record.ended(0, { 0, 5.0 }, 5.0, { 2, 4, false });
        record.ended(0, { 0, 0.0 }, 1.0, { 0, 0, true });  // it had nothing to do
    }
    CHECK_NEAR(record.costs()[1].of(2, 4), guess.of(2, 4), 1e-9);
    CHECK_EQUAL(record.tokens_on_cpu(), 200u);
}

void seconds_and_tokens_add_up() {
    dispatch_record record(2, 2, guess);
    record.fetched(1, { 2, 1000, 5 }, 0.1);
    record.fetched(1, { 1, 500, 3 }, 0.1);
    record.ended(1, { 0.1, 0.2, 0.3 }, 0.4, { 1, 7, true });
    record.ended(1, { 0.5, 0.0, 0.1 }, 0.6, { 1, 2, true });
    CHECK_EQUAL(record.fetches()[0].experts, 0u);
    CHECK(record.fetches()[1].experts == 3 && record.fetches()[1].bytes == 1500 && record.fetches()[1].tokens == 8);
    CHECK_EQUAL(record.tokens_on_cpu(), 9u);
    CHECK_EQUAL(record.times()[0].total, 0.0);
    CHECK_NEAR(record.times()[1].total, 1.0, 1e-12);
    CHECK_NEAR(record.times()[1].busy[0], 0.6, 1e-12);
    CHECK_NEAR(record.times()[1].busy[1], 0.2, 1e-12);
    CHECK_NEAR(record.times()[1].busy[2], 0.4, 1e-12);
}

}  // namespace

int main() {
    costs_begin_with_the_guess_then_what_was_measured();
    costs_follow_what_batches_took();
    a_device_that_is_spared_gets_another_chance();
    the_cpu_learns_nothing_while_it_waits_for_the_disk();
    seconds_and_tokens_add_up();
    return moebius_test::check_result();
}
