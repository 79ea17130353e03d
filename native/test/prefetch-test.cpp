// Reading experts ahead: the control of a predictor, what scores and tokens foretell, and the bookkeeping of a store's reads.
#include "check.h"
#include "experts/policy/gate-confidence.h"
#include "experts/policy/prefetcher.h"
#include "experts/policy/token-paths.h"

#include <algorithm>
#include <cmath>
#include <random>

using namespace moebius;

namespace {

prefetch_feedback feedback(uint64_t in_time, uint64_t late, uint64_t wasted, double saved, double lost) {
    prefetch_feedback seen;
    seen[0] = { in_time, late, wasted, saved, lost };
    return seen;
}

void what_pays_stays_on_and_is_asked_for_more() {
    prefetch_control control;
    for (int i = 0; i < 20; i++) {
        control = prefetch_adjust(control, feedback(90, 5, 5, 0.9, 0.005), 3);
    }
    CHECK_EQUAL(control.depth, 1u);
    CHECK_EQUAL(control.least, 0.2);  // the least that there is: a read in vain costs a tenth of what another saves
    const prefetch_control dear = prefetch_adjust(prefetch_control(), feedback(60, 0, 40, 0.6, 0.5), 3);
    CHECK(std::fabs(dear.least - 0.0125 / 0.0225) < 1e-9);  // where a read saves 10 ms or loses 12.5
}

void what_does_not_pay_becomes_choosy_then_goes_off_and_is_tried_again_ever_later() {
    prefetch_control control;
    double           before = control.least;
    int              windows = 0;
    for (; control.depth > 0; windows++) {
        control = prefetch_adjust(control, feedback(1, 0, 99, 0.01, 0.5), 3);
        CHECK(control.depth == 0 || control.least > before);
        before = control.least;
    }
    CHECK(windows > 0 && windows < 6);
    uint32_t pause = 0;
    for (int round = 0; round < 8; round++) {
        uint32_t off = 0;
        for (; control.depth == 0; off++) {
            control = prefetch_adjust(control, {}, 3);
        }
        CHECK(off == 64 || off >= 2 * pause);
        CHECK(off <= 64);
        pause = off;
        CHECK(control.least < 0.7);
        while (control.depth > 0) {
            control = prefetch_adjust(control, feedback(0, 0, 50, 0.0, 0.5), 3);
        }
    }
    CHECK_EQUAL(pause, 64u);
}

void late_reads_ask_for_depth_and_a_depth_that_costs_is_given_up() {
    prefetch_control control = prefetch_adjust(prefetch_control(), feedback(10, 30, 2, 0.4, 0.01), 3);
    CHECK_EQUAL(control.depth, 2u);
    CHECK_EQUAL(prefetch_adjust(prefetch_control(), feedback(10, 30, 2, 0.4, 0.01), 1).depth, 1u);
    prefetch_feedback seen = feedback(40, 0, 2, 0.4, 0.01);
    seen[1]                = { 2, 0, 30, 0.02, 0.3 };
    control                = prefetch_adjust(control, seen, 3);
    CHECK_EQUAL(control.depth, 1u);
    control = prefetch_adjust(control, feedback(10, 30, 2, 0.4, 0.01), 3);
    CHECK_EQUAL(control.depth, 1u);  // not so soon again
    for (int i = 0; i < 15; i++) {
        control = prefetch_adjust(control, feedback(10, 30, 2, 0.4, 0.01), 3);
    }
    CHECK_EQUAL(control.depth, 2u);
}

// Scores of 16 experts whose first two are chosen by the same scores plus noise.
void confidence_becomes_the_frequency_of_being_chosen() {
    std::mt19937                     random(3);
    std::normal_distribution<float>  normal;
    for (const float noise : { 0.05f, 1.0f }) {
        gate_confidence confidence(16, 2);
        double          expected = 0.0, first = 0.0, chosen_first = 0.0;
        for (int batch = 0; batch < 4000; batch++) {
            std::vector<float> scores(16), truth(16);
            for (size_t e = 0; e < 16; e++) {
                scores[e] = normal(random);
                truth[e]  = scores[e] + noise * normal(random);
            }
            const std::vector<foreseen_use> foreseen = confidence.foresee(scores, std::vector<float>(16, 0.5f), 1);
            std::vector<int32_t>            order(16);
            for (int32_t e = 0; e < 16; e++) {
                order[size_t(e)] = e;
            }
            std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return truth[size_t(a)] > truth[size_t(b)]; });
            order.resize(2);
            if (batch >= 2000) {
                for (const foreseen_use & use : foreseen) {
                    expected += use.probability / 2000;
                }
                first += foreseen[0].probability / 2000;
                chosen_first += double(std::count(order.begin(), order.end(), int32_t(foreseen[0].expert))) / 2000;
            }
            confidence.learn(order);
        }
        CHECK(std::fabs(expected - 2.0) < 0.1);          // as many as are used
        CHECK(std::fabs(first - chosen_first) < 0.05);   // calibrated
        CHECK(noise > 0.5f ? first < 0.9 : first > 0.9);
    }
}

void a_batch_uses_what_any_of_its_tokens_uses() {
    gate_confidence    confidence(4, 1);
    std::vector<float> scores = { 9, 0, 0, 0, 0, 9, 0, 0 };  // two tokens
    const std::vector<float> even(8, 0.5f);
    const auto         both   = confidence.foresee(scores, even, 2);
    CHECK((both[0].expert == 0 && both[1].expert == 1));
    CHECK(both[1].probability > 0.9 && both[2].probability < 0.5);
    const auto many = confidence.foresee(scores, even, 64);  // that the two speak for
    CHECK(many[2].probability > both[2].probability);
    const std::vector<float> masked = { 1, -INFINITY, 2, -INFINITY };
    CHECK_EQUAL(confidence.foresee(masked, { 0.5f, 0.5f, 0.5f, 0.5f }, 1)[0].expert, 2u);
    confidence.learn({ 2 });
}

// A router that says nothing beside a past that says all, and the other way round.
void the_better_witness_is_believed() {
    std::mt19937                    random(3);
    std::normal_distribution<float> normal;
    for (const bool past_knows : { true, false }) {
        gate_confidence confidence(16, 1);
        uint32_t        right = 0;
        for (int batch = 0; batch < 1500; batch++) {
            const int32_t      truth = int32_t(random() % 16);
            std::vector<float> scores(16), past(16);
            for (size_t e = 0; e < 16; e++) {
                scores[e] = normal(random);
                past[e]   = float(random() % 1000) / 2000.0f;
            }
            if (past_knows) {
                past.assign(16, 0.02f);
                past[size_t(truth)] = 0.7f;
            } else {
                scores[size_t(truth)] = 4.0f;
            }
            right += batch >= 1000 && confidence.foresee(scores, past, 1)[0].expert == uint32_t(truth) ? 1 : 0;
            if (batch < 1000) {
                confidence.foresee(scores, past, 1);
            }
            confidence.learn({ truth });
        }
        CHECK(right > 475);
    }
}

void tokens_go_where_they_went() {
    token_paths paths(2, 8, 1);
    for (int i = 0; i < 200; i++) {
        paths.learn(0, { 7, 9 }, { 3, 5 });
        paths.learn(1, { 7 }, { i % 2 });
    }
    CHECK_EQUAL(paths.foresee(0, { 7 })[0].expert, 3u);
    CHECK(paths.foresee(0, { 7 })[0].probability > 0.9);
    CHECK_EQUAL(paths.foresee(0, { 9 })[0].expert, 5u);
    const auto halves = paths.foresee(1, { 7 });
    CHECK(halves[0].probability > 0.4 && halves[0].probability < 0.6 && halves[1].probability > 0.4 && halves[2].probability < 0.1);
    const auto unknown = paths.foresee(0, { 1000 });  // as tokens on average
    CHECK(unknown[0].probability > 0.4 && unknown[0].probability < 0.6);
    const auto both = paths.foresee(0, { 7, 9 });
    CHECK(both[0].probability > 0.9 && both[1].probability > 0.9 && both[2].probability < 0.2);
}

void tokens_that_came_first_are_forgotten_first() {
    token_paths paths(4, 8, 2, 3000);
    for (int32_t token = 0; token < 1000; token++) {
        for (uint32_t layer = 0; layer < 4; layer++) {
            paths.learn(layer, { token }, { token % 8, (token + 1) % 8 });
        }
    }
    CHECK(paths.size() > 10 && paths.size() * 4 * 4 * 4 < 3000);
    CHECK(paths.knows(999) && !paths.knows(0));
    CHECK(paths.foresee(0, { 999 })[1].probability > 0.5);
}

// A store of three slots a layer whose reads take no time, or have not begun.
struct store {
    static constexpr uint32_t layers = 4, experts = 8;
    expert_cache_shape shape{ layers, experts, std::vector<uint32_t>(layers, 3) };
    slot_cache         cache{ shape, cache_policy_make("lru", shape) };
    prefetcher         ahead{ layers, experts };
    double             now = 0.0;
    store() { ahead.set_on(true, now); }

    std::vector<prefetch_read> propose(expert_predictor by, uint32_t layer, std::vector<uint32_t> named, bool read = true) {
        std::vector<foreseen_use> foreseen;
        for (const uint32_t expert : named) {
            foreseen.push_back({ expert, 0.8 });
        }
        ahead.propose(by, layer, foreseen);
        const auto reads = ahead.next(cache, 4, now);
        for (size_t i = 0; read && i < reads.size(); i++) {  // nobody waits for the disk meanwhile
            ahead.arrived(reads[i].layer, reads[i].expert, now + 0.01);
        }
        return reads;
    }

    // Uses one expert; threads wait for a read of 10 ms.
    void use(uint32_t layer, uint32_t expert) {
        const bool here = cache.slot_of({ layer, expert }) != slot_cache::none;
        cache.used(layer, { { expert, 1, 1.0f } });
        ahead.reached(cache, layer, { { expert, 1, 1.0f } }, { { expert, here ? expert_found::here : expert_found::missing } }, now);
        if (!here) {
            cache.take({ layer, expert });
            ahead.wanted(now);
            now += 0.01;
            ahead.read(now, 0.01);
            ahead.stalled(0.01);
        }
        now += 0.02;
    }
};

void the_nearest_layer_comes_first_and_a_slot_is_left() {
    store all;
    all.use(0, 0);
    CHECK(all.propose(expert_predictor::tokens, 2, { 1, 2 }).empty());  // deeper than it may
    const auto reads = all.propose(expert_predictor::router, 1, { 4, 5, 6 });
    CHECK_EQUAL(reads.size(), 2u);
    CHECK(reads[0].layer == 1 && reads[0].expert == 4 && reads[1].expert == 5);
    CHECK(all.propose(expert_predictor::router, 1, { 4, 5, 6 }).empty());
    all.use(1, 4);
    CHECK_EQUAL(all.ahead.next(all.cache, 4, 0.0).size(), 2u);  // now layer 2 is near
    const prefetch_counters router = all.ahead.report(expert_predictor::router).layers[1];
    CHECK(router.read == 2 && router.used == 1 && router.wasted == 1 && router.late == 0);
    CHECK(router.uses == 1 && router.right == 1);
    all.use(2, 7);
    const prefetch_counters tokens = all.ahead.report(expert_predictor::tokens).total();
    CHECK(tokens.read == 2 && tokens.used == 0 && tokens.wasted == 2 && tokens.uses == 1 && tokens.right == 0);
}

void off_reads_nothing() {
    store all;
    all.ahead.set_on(false, 0.0);
    all.use(0, 0);
    CHECK(all.propose(expert_predictor::router, 1, { 4, 5, 6 }).empty());
    CHECK_EQUAL(all.ahead.depth(expert_predictor::router), 0u);
}

void what_is_named_first_stays() {
    store all;
    for (const uint32_t expert : { 1u, 2u, 3u }) {
        all.cache.take({ 1, expert });
    }
    all.use(0, 0);
    all.ahead.propose(expert_predictor::router, 1, { { 1, 0.9 }, { 2, 0.9 }, { 5, 0.8 }, { 3, 0.2 } });
    const auto reads = all.ahead.next(all.cache, 4, 0.0);
    CHECK(reads.size() == 1 && reads[0].expert == 5);
    CHECK(all.cache.slot_of({ 1, 3 }) == slot_cache::none);  // the only one that is improbable
}

void a_withdrawn_read_is_as_if_it_had_not_been() {
    store all;
    for (const uint32_t expert : { 1u, 2u, 3u }) {
        all.cache.take({ 1, expert });
    }
    all.use(0, 0);
    const auto reads = all.propose(expert_predictor::router, 1, { 4, 5 }, false);
    CHECK_EQUAL(reads.size(), 2u);
    const auto in_vain = all.ahead.overtaken(1, { { 5, 1, 1.0f } });
    CHECK(in_vain.size() == 1 && in_vain[0].expert == 4 && in_vain[0].evicted == 1);  // the first who left
    all.cache.give_back({ 1, 4 }, in_vain[0].evicted);
    all.ahead.withdrawn(1, 4);
    CHECK(all.cache.slot_of({ 1, 4 }) == slot_cache::none);
    CHECK_EQUAL(all.cache.slot_of({ 1, 1 }), int32_t(reads[0].slot));
    CHECK(all.ahead.overtaken(1, { { 5, 1, 1.0f } }).empty());
    all.ahead.arrived(1, 5, all.now);
    all.use(1, 5);
    const prefetch_report router = all.ahead.report(expert_predictor::router);
    CHECK(router.layers[1].read == 1 && router.layers[1].used == 1 && router.layers[1].wasted == 0 && router.layers[1].withdrawn == 1);
    CHECK_EQUAL(*router.lost, 0.0);
    all.cache.take({ 2, 0 });
    all.cache.give_back({ 2, 0 }, UINT32_MAX);  // nobody had left
    CHECK(all.cache.slot_of({ 2, 0 }) == slot_cache::none);
}

// An expert is read, leaves, and is read again, all before the batch comes: whoever left for the first of its reads is gone, only who left for the second is still there.
void only_the_read_under_way_can_be_taken_back() {
    store all;
    for (const uint32_t expert : { 1u, 2u, 3u }) {
        all.cache.take({ 1, expert });
    }
    all.use(0, 0);
    CHECK_EQUAL(all.propose(expert_predictor::router, 1, { 4 }).size(), 1u);  // 1 leaves
    CHECK_EQUAL(all.cache.slot_of({ 1, 1 }), slot_cache::none);
    all.cache.drop({ 1, 4 });  // as a resize does
    all.cache.take({ 1, 6 });
    const auto again = all.propose(expert_predictor::router, 1, { 4 }, false);
    CHECK_EQUAL(again.size(), 1u);
    const auto in_vain = all.ahead.overtaken(1, { { 5, 1, 1.0f } });
    CHECK(in_vain.size() == 1 && in_vain[0].expert == 4 && in_vain[0].evicted == 2);
    all.cache.give_back({ 1, 4 }, in_vain[0].evicted);
    all.ahead.withdrawn(1, 4);
    CHECK_EQUAL(all.cache.slot_of({ 1, 2 }), int32_t(again[0].slot));
    CHECK(all.ahead.overtaken(1, { { 5, 1, 1.0f } }).empty());
}

void a_useless_predictor_goes_off_beside_a_good_one() {
    store        all;
    std::mt19937 random(5);
    uint32_t     asked = 0;
    for (int batch = 0; batch < 400; batch++) {
        uint32_t next = random() % store::experts;
        for (uint32_t layer = 0; layer < store::layers; layer++) {
            const uint32_t expert = next;
            next                  = random() % store::experts;
            all.use(layer, expert);
            if (layer + 1 < store::layers) {
                all.propose(expert_predictor::router, layer + 1, { next });
                all.propose(expert_predictor::tokens, layer + 1, { uint32_t(random() % store::experts) });
            }
        }
        asked += all.ahead.depth(expert_predictor::tokens) > 0 ? 1 : 0;
        CHECK(all.ahead.depth(expert_predictor::router) > 0);
    }
    CHECK(asked < 150);
    const prefetch_report good = all.ahead.report(expert_predictor::router), bad = all.ahead.report(expert_predictor::tokens);
    CHECK(good.total().used * 10 > good.total().read * 9);
    CHECK_EQUAL(good.total().right, good.total().uses);
    CHECK(bad.total().wasted > bad.total().used);
    CHECK(good.saved > good.lost && bad.lost > 0.0);
    all.ahead.restart_counters();
    CHECK_EQUAL(all.ahead.report(expert_predictor::router).total().read, 0u);
}

}  // namespace

int main() {
    what_pays_stays_on_and_is_asked_for_more();
    what_does_not_pay_becomes_choosy_then_goes_off_and_is_tried_again_ever_later();
    late_reads_ask_for_depth_and_a_depth_that_costs_is_given_up();
    confidence_becomes_the_frequency_of_being_chosen();
    a_batch_uses_what_any_of_its_tokens_uses();
    the_better_witness_is_believed();
    tokens_go_where_they_went();
    tokens_that_came_first_are_forgotten_first();
    the_nearest_layer_comes_first_and_a_slot_is_left();
    off_reads_nothing();
    what_is_named_first_stays();
    a_withdrawn_read_is_as_if_it_had_not_been();
    only_the_read_under_way_can_be_taken_back();
    a_useless_predictor_goes_off_beside_a_good_one();
    return moebius_test::check_result();
}
