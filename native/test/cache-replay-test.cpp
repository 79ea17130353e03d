// The simulator of the expert cache: batches, what a replay counts, and Belady's bound against brute force.
#include "check.h"
#include "experts/simulate/cache-replay.h"
#include "experts/simulate/future-policy.h"
#include "made-trace.h"

#include <algorithm>
#include <map>
#include <set>

using namespace moebius;
using namespace moebius_test;

namespace {

using expert_set = std::set<uint32_t>;

expert_set experts_of(const replay_batches & batches, uint32_t batch, uint32_t layer) {
    expert_set all;
    for (const expert_use * use = batches.begin(batch, layer); use != batches.end(batch, layer); use++) {
        all.insert(use->expert);
    }
    return all;
}

replay_result replay_with(const replay_batches & batches, const std::string & policy, uint32_t slots) {
    replay_settings settings;
    settings.slots  = replay_slots(batches, slots);
    settings.policy = policy;
    return replay(batches, settings);
}

void prompts_are_cut_and_replies_go_token_by_token() {
    routing_trace trace;
    trace.shape = made_shape(2, 8, 2);
    const made_routing five(5, { { 0, 1 }, { 2, 3 } });
    trace.records = { made_record(trace.shape, 7, 0, five), made_record(trace.shape, 3, 0, { five[0] }), made_record(trace.shape, 7, 5, { five[0], five[1] }),
                      made_record(trace.shape, 3, 1, { { { 4, 5 }, {} } }) };
    const replay_batches batches(trace, 3);
    std::vector<uint32_t> tokens;
    for (uint32_t batch = 0; batch < batches.count(); batch++) {
        tokens.push_back(batches.tokens(batch));
    }
    CHECK((tokens == std::vector<uint32_t>{ 3, 2, 1, 1, 1, 1 }));  // sequence 7: prompt of 5, reply of 2; sequence 3: prompt, reply
    CHECK_EQUAL(batches.tokens(), 9u);
    CHECK((experts_of(batches, 5, 0) == expert_set{ 4, 5 }));
    CHECK(batches.begin(5, 1) == batches.end(5, 1));  // not computed
    CHECK_EQUAL(batches.tokens(5, 0), 1.0);
    CHECK_EQUAL(batches.tokens(5, 1), 0.0);
    CHECK_EQUAL(batches.tokens(0, 1), 3.0);
    CHECK_EQUAL(batches.begin(0, 0)->tokens, 3u);
    CHECK_NEAR(batches.begin(0, 0)->weight, 1.5, 1e-6);
}

void slots_are_filled_at_the_start_as_the_store_fills_them() {
    routing_trace trace;
    trace.shape   = made_shape(1, 8, 2);
    trace.records = { made_record(trace.shape, 0, 0, { { { 0, 1 } } }), made_record(trace.shape, 0, 1, { { { 1, 5 } } }) };
    const replay_batches batches(trace, 512);
    const replay_result  result = replay_with(batches, "lru", 3);
    CHECK_EQUAL(result.all.hits, 3u);
    CHECK_EQUAL(result.all.misses, 1u);
    CHECK_NEAR(result.all.hit_rate(), 0.75, 1e-12);
    CHECK_NEAR(result.bytes_per_token(10), 5, 1e-12);
}

// Lists instead of slots and policies.
uint64_t lru_misses(const replay_batches & batches, uint32_t layer, uint32_t slots) {
    std::vector<uint32_t> list;  // most recent last; what the slots were filled with is the oldest
    for (uint32_t expert = 0; expert < slots; expert++) {
        list.push_back(expert);
    }
    uint64_t misses = 0;
    for (uint32_t batch = 0; batch < batches.count(); batch++) {
        const expert_set now = experts_of(batches, batch, layer);
        std::vector<uint32_t> kept;
        for (const uint32_t expert : list) {
            if (now.count(expert) == 0) {
                kept.push_back(expert);
            }
        }
        for (const uint32_t expert : now) {
            misses += std::find(list.begin(), list.end(), expert) == list.end();
        }
        // of one batch, the lower expert is the older one
        list = kept;
        list.insert(list.end(), now.begin(), now.end());
        list.erase(list.begin(), list.end() - std::min<ptrdiff_t>(slots, ptrdiff_t(list.size())));
    }
    return misses;
}

void lru_is_that_of_a_list() {
    const routing_trace  trace = drifting_trace(3, 16, 2, 400, 5, 1);
    const replay_batches batches(trace, 512);
    for (const uint32_t slots : { 2u, 3u, 4u, 7u, 15u }) {
        const replay_result result = replay_with(batches, "lru", slots);
        for (uint32_t layer = 0; layer < 3; layer++) {
            CHECK_EQUAL(result.layers[layer].misses, lru_misses(batches, layer, slots));
        }
    }
}

void every_use_is_a_hit_or_a_miss() {
    const routing_trace  trace = drifting_trace(2, 12, 3, 200, 5, 2);
    const replay_batches batches(trace, 512);
    std::vector<std::string> names = cache_policy_names();
    names.insert(names.end(), { "belady", "lookahead-1", "lookahead-3" });
    for (const std::string & policy : names) {
        uint64_t before = UINT64_MAX;
        for (const uint32_t slots : { 1u, 2u, 3u, 5u, 12u }) {
            const replay_result result = replay_with(batches, policy, slots);
            CHECK_EQUAL(result.all.hits + result.all.misses, result.all.uses);
            CHECK_EQUAL(result.all.uses, 200u * 2 * 3);
            CHECK_EQUAL(result.layers[0].misses + result.layers[1].misses, result.all.misses);
            CHECK(policy != "belady" || slots <= 3 || result.all.misses <= before);  // below, batches do not fit
            before = result.all.misses;
        }
        CHECK_EQUAL(before, 0u);  // all of them fit
        CHECK(replay_with(batches, policy, 4).all.misses >= replay_with(batches, "belady", 4).all.misses);
    }
}

void a_batch_larger_than_the_slots_passes_through_them() {
    routing_trace trace;
    trace.shape   = made_shape(1, 8, 4);
    trace.records = { made_record(trace.shape, 0, 0, { { { 0, 2, 3, 4 } } }), made_record(trace.shape, 0, 1, { { { 0, 2, 3, 4 } } }) };
    const replay_batches batches(trace, 512);
    // slots hold 0 and 1: a hit and three misses, which leave 3 and 4; then two hits and two misses
    const replay_result result = replay_with(batches, "lru", 2);
    CHECK_EQUAL(result.all.hits, 3u);
    CHECK_EQUAL(result.all.misses, 5u);
}

// Fewest misses over all that a cache could do: a batch that fits stays while it is in the layer, of a larger one anything may stay.
class brute_force {
  public:
    brute_force(const replay_batches & batches, uint32_t slots) : batches(batches), slots(slots) {}

    uint64_t fewest() {
        uint32_t filled = 0;
        for (uint32_t expert = 0; expert < slots; expert++) {
            filled |= 1u << expert;
        }
        return from(0, filled);
    }

  private:
    static uint32_t count(uint32_t set) {
        uint32_t bits = 0;
        for (; set != 0; set &= set - 1) {
            bits++;
        }
        return bits;
    }

    uint64_t from(uint32_t batch, uint32_t residents) {
        if (batch == batches.count()) {
            return 0;
        }
        const auto known = best.find({ batch, residents });
        if (known != best.end()) {
            return known->second;
        }
        uint32_t wanted = 0;
        for (const uint32_t expert : experts_of(batches, batch, 0)) {
            wanted |= 1u << expert;
        }
        const uint32_t missing = wanted & ~residents;
        const uint32_t choice  = wanted | residents;
        const bool     fits    = count(wanted) <= slots;
        uint64_t       fewest  = UINT64_MAX;
        for (uint32_t kept = choice;; kept = (kept - 1) & choice) {
            const bool possible = !fits || (kept & wanted) == wanted;
            if (count(kept) <= slots && possible) {
                fewest = std::min(fewest, from(batch + 1, kept));
            }
            if (kept == 0) {
                break;
            }
        }
        fewest += count(missing);
        best[{ batch, residents }] = fewest;
        return fewest;
    }

    const replay_batches &                           batches;
    uint32_t                                         slots;
    std::map<std::pair<uint32_t, uint32_t>, uint64_t> best;
};

void belady_is_the_best_there_is() {
    std::mt19937 random(11);
    for (uint32_t round = 0; round < 200; round++) {
        routing_trace  trace;
        const uint32_t used = 1 + random() % 3;
        trace.shape         = made_shape(1, 6, used);
        for (uint32_t token = 0; token < 12; token++) {
            std::vector<uint16_t> chosen;
            while (chosen.size() < used) {
                const uint16_t expert = uint16_t(random() % 6);
                if (std::find(chosen.begin(), chosen.end(), expert) == chosen.end()) {
                    chosen.push_back(expert);
                }
            }
            trace.records.push_back(made_record(trace.shape, 0, token, { { chosen } }));
        }
        const replay_batches batches(trace, 512);
        for (const uint32_t slots : { 1u, 2u, 3u, 4u }) {
            CHECK_EQUAL(replay_with(batches, "belady", slots).all.misses, brute_force(batches, slots).fewest());
        }
    }
}

void knowing_more_of_the_future_helps() {
    const routing_trace  trace = drifting_trace(2, 16, 2, 500, 6, 4);
    const replay_batches batches(trace, 512);
    const auto           misses = [&](const char * policy) { return replay_with(batches, policy, 4).all.misses; };
    CHECK_EQUAL(misses("lookahead-1000"), misses("belady"));  // the trace is shorter
    CHECK(misses("lookahead-1") < misses("lrfu"));
    CHECK(misses("lookahead-8") < misses("lookahead-1"));
    CHECK(misses("belady") <= misses("lookahead-8"));
}

void reads_ahead_are_counted() {
    // expert 2i+1 always follows 2i: what comes is certain once it has been seen
    routing_trace trace;
    trace.shape = made_shape(2, 16, 1);
    std::mt19937 random(5);
    for (uint32_t token = 0; token < 3000; token++) {
        const uint16_t expert = uint16_t(random() % 16);
        trace.records.push_back(made_record(trace.shape, 0, token, { { { expert }, { uint16_t(15 - expert) } } }));
    }
    const replay_batches batches(trace, 512);
    replay_settings      settings;
    settings.slots             = replay_slots(batches, 4);
    settings.policy            = "foresight";
    const replay_result demand = replay(batches, settings);
    settings.ahead.most        = 1;
    const replay_result result = replay(batches, settings);
    CHECK_EQUAL(demand.all.prefetched, 0u);
    CHECK(demand.layers[1].hit_rate() < 0.35);    // four of sixteen at random
    CHECK(result.layers[1].hit_rate() > 0.9);     // the layer below tells
    CHECK(result.layers[0].hit_rate() < 0.35);    // nothing does
    CHECK(result.layers[1].useful > result.layers[1].prefetched * 9 / 10);
    CHECK(result.all.reads() == result.all.misses + result.all.prefetched);
    settings.policy = "lru";  // foresees nothing
    CHECK_EQUAL(replay(batches, settings).all.prefetched, 0u);
}

void what_cannot_be_is_refused() {
    const routing_trace  trace = drifting_trace(2, 8, 2, 10, 4, 1);
    const replay_batches batches(trace, 512);
    for (const char * policy : { "fifo", "lookahead-0", "lookahead-01", "lookahead-1001", "lookahead-x", "lookahead-", "" }) {
        CHECK_THROWS(replay_with(batches, policy, 2), user_error, error.code == "request.invalid");
        CHECK(!replay_policy_exists(policy));
    }
    replay_settings settings;
    for (const std::vector<uint32_t> & slots : { std::vector<uint32_t>{ 2 }, { 0, 2 }, { 2, 9 } }) {
        settings.slots = slots;
        CHECK_THROWS(replay(batches, settings), user_error, error.code == "request.invalid");
    }
    settings.slots = { 2, 2 };
    settings.check = [] { throw user_error("cancelled", "stop"); };
    CHECK_THROWS(replay(batches, settings), user_error, error.code == "cancelled");
}

}  // namespace

int main() {
    prompts_are_cut_and_replies_go_token_by_token();
    slots_are_filled_at_the_start_as_the_store_fills_them();
    lru_is_that_of_a_list();
    every_use_is_a_hit_or_a_miss();
    a_batch_larger_than_the_slots_passes_through_them();
    belady_is_the_best_there_is();
    knowing_more_of_the_future_helps();
    reads_ahead_are_counted();
    what_cannot_be_is_refused();
    return moebius_test::check_result();
}
