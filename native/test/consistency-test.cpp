// SRP, SCH, advice on slots, choice of policy and allocation: against brute force and on traces whose answer is known.
#include "check.h"
#include "experts/simulate/consistency.h"
#include "experts/simulate/replay-sweep.h"
#include "made-trace.h"

#include <algorithm>

using namespace moebius;
using namespace moebius_test;

namespace {

// Tries every group of every segment of a trace with one sequence.
double brute_force_routing(const routing_trace & trace, uint32_t group, uint32_t length) {
    const uint32_t experts = trace.shape.expert_count;
    const uint32_t used    = trace.shape.expert_used_count;
    const uint32_t layers  = trace.shape.layer_count();
    std::vector<std::vector<uint16_t>> tokens;
    for (const trace_record & record : trace.records) {
        for (uint32_t token = 0; token < record.tokens; token++) {
            const auto from = record.experts.begin() + ptrdiff_t(token * layers * used);
            tokens.emplace_back(from, from + ptrdiff_t(layers * used));
        }
    }
    uint64_t covered = 0;
    uint64_t all     = 0;
    for (size_t first = 0; first + length <= tokens.size(); first += length) {
        for (uint32_t layer = 0; layer < layers; layer++) {
            uint64_t best = 0;
            for (uint32_t set = 0; set < (1u << experts); set++) {
                uint32_t size = 0;
                for (uint32_t expert = 0; expert < experts; expert++) {
                    size += set >> expert & 1;
                }
                uint64_t hits = 0;
                for (size_t token = first; size == group && token < first + length; token++) {
                    for (uint32_t k = 0; k < used; k++) {
                        hits += set >> tokens[token][layer * used + k] & 1;
                    }
                }
                best = std::max(best, hits);
            }
            covered += best;
            all += length * used;
        }
    }
    return all == 0 ? 0.0 : double(covered) / double(all);
}

void routing_performance_is_that_of_trying_all_groups() {
    for (uint32_t seed = 0; seed < 10; seed++) {
        const routing_trace  trace = drifting_trace(2, 8, 2, 50, 3, seed);
        const replay_batches tokens(trace, 1);
        for (const uint32_t length : { 1u, 4u, 7u, 50u, 51u }) {
            for (const double factor : { 0.5, 1.0, 2.0 }) {
                const uint32_t group = uint32_t(2 * factor);
                CHECK_EQUAL(group_size(tokens, factor), group);
                CHECK_NEAR(segment_routing_performance(tokens, factor, length), brute_force_routing(trace, group, length), 1e-12);
            }
        }
    }
}

void segments_do_not_cross_sequences() {
    routing_trace trace;
    trace.shape = made_shape(1, 8, 1);
    const made_routing a(3, { { 1 } });
    const made_routing b(3, { { 2 } });
    trace.records = { made_record(trace.shape, 0, 0, a), made_record(trace.shape, 1, 0, b) };
    const replay_batches tokens(trace, 1);
    CHECK_NEAR(segment_routing_performance(tokens, 1, 2), 1.0, 1e-12);  // 1 1 | 2 2, the thirds are left out
    CHECK_NEAR(segment_routing_performance(tokens, 1, 3), 1.0, 1e-12);
    CHECK_NEAR(segment_routing_performance(tokens, 1, 4), 0.0, 1e-12);  // no segment is that long
}

void cache_hit_rate_rises_to_beladys() {
    const routing_trace  trace = drifting_trace(2, 16, 2, 300, 5, 3);
    const replay_batches tokens(trace, 1);
    replay_settings      settings;
    settings.slots      = replay_slots(tokens, 4);
    settings.policy     = "belady";
    const double belady = replay(tokens, settings).all.hit_rate();
    CHECK_NEAR(segment_cache_hit_rate(tokens, 2, 300), belady, 1e-12);
    CHECK(segment_cache_hit_rate(tokens, 2, 1) < segment_cache_hit_rate(tokens, 2, 8));
    CHECK(segment_cache_hit_rate(tokens, 2, 8) <= belady);
}

void suitability_tells_local_routing_from_random() {
    const consistency_report local  = measure_consistency(drifting_trace(2, 64, 2, 1000, 4, 1));
    const consistency_report random = measure_consistency(drifting_trace(2, 64, 2, 1000, 64, 1));
    CHECK(local.suitability > 0.5);  // one choice in four is random
    CHECK(random.suitability < 0.25);
    CHECK_EQUAL(local.rows.size(), 4u);
    CHECK_NEAR(local.suitability, (local.rows[1].cache - 4.0 / 64) / (1 - 4.0 / 64), 1e-12);
    routing_trace nothing;
    nothing.shape = made_shape(2, 8, 2);
    CHECK_NEAR(measure_consistency(nothing).suitability, 0.0, 1e-12);
}

void advice_is_the_fewest_slots_that_reach_the_target() {
    const routing_trace  trace = drifting_trace(2, 40, 2, 600, 6, 9);
    const replay_batches batches(trace, 512);
    for (const double target : { 0.3, 0.6, 0.9, 1.0 }) {
        const slot_advice advice = advise_slots(batches, {}, target);
        CHECK(advice.target.has_value());
        replay_settings settings;
        settings.slots = replay_slots(batches, *advice.target);
        CHECK(replay(batches, settings).all.hit_rate() >= target);
        settings.slots = replay_slots(batches, *advice.target - 1);
        CHECK(replay(batches, settings).all.hit_rate() < target || *advice.target == 2);
    }
    const slot_advice advice = advise_slots(batches, {}, 1.1);
    CHECK(!advice.target.has_value());
    CHECK_EQUAL(advice.curve.front().slots, 2u);
    CHECK_EQUAL(advice.curve.back().slots, 40u);
    CHECK(advice.knee >= 4 && advice.knee <= 16);  // six favourites, and one in four drawn from all
}

void the_best_policy_is_named() {
    // experts 0 and 1 often, others once each: frequency wins, recency loses
    routing_trace trace;
    trace.shape = made_shape(1, 32, 1);
    for (uint32_t token = 0; token < 600; token++) {
        const uint16_t expert = uint16_t(token % 2 == 0 ? token / 2 % 2 : 2 + token / 2 % 30);
        trace.records.push_back(made_record(trace.shape, 0, token, { { { expert } } }));
    }
    const replay_batches batches(trace, 512);
    replay_settings      settings;
    settings.slots             = replay_slots(batches, 3);
    const policy_choice choice = best_policy(batches, settings);
    settings.policy            = "lru";
    CHECK(choice.name != "lru");
    CHECK(choice.result.all.hits > replay(batches, settings).all.hits);
    settings.slots = replay_slots(batches, 32);
    CHECK_EQUAL(best_policy(batches, settings).name, "lru");  // all are equal
}

void marginal_allocation_beats_uniform_where_layers_differ() {
    // layer 0 uses three experts, layer 1 twelve, by turns
    routing_trace trace;
    trace.shape = made_shape(2, 16, 1);
    for (uint32_t token = 0; token < 600; token++) {
        trace.records.push_back(made_record(trace.shape, 0, token, { { { uint16_t(token % 3) }, { uint16_t(token % 12) } } }));
    }
    const replay_batches batches(trace, 512);
    replay_settings      settings;
    settings.slots         = allocate_slots(batches, settings, "uniform", 16);
    const uint64_t uniform = replay(batches, settings).all.misses;
    settings.slots         = allocate_slots(batches, settings, "marginal", 16);
    CHECK(settings.slots[0] >= 3 && settings.slots[1] >= 12);
    CHECK(replay(batches, settings).all.misses < uniform / 10);
    CHECK((allocate_slots(batches, settings, "shallow", 8) == std::vector<uint32_t>{ 6, 2 }));
    CHECK_THROWS(allocate_slots(batches, settings, "other", 8), user_error, error.code == "request.invalid");
}

}  // namespace

int main() {
    routing_performance_is_that_of_trying_all_groups();
    segments_do_not_cross_sequences();
    cache_hit_rate_rises_to_beladys();
    suitability_tells_local_routing_from_random();
    advice_is_the_fewest_slots_that_reach_the_target();
    the_best_policy_is_named();
    marginal_allocation_beats_uniform_where_layers_differ();
    return moebius_test::check_result();
}
