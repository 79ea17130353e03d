// Cache policies and slots against a brute-force reading of their rules.
#include "check.h"
#include "experts/policy/slot-cache.h"
#include "experts/policy/use-regression.h"

#include <algorithm>
#include <random>
#include <set>

using namespace moebius;

namespace {

expert_cache_shape shape_of(uint32_t experts, uint32_t slots) {
    return { 1, experts, { slots } };
}

void use(slot_cache & cache, const std::vector<uint32_t> & experts) {
    std::vector<expert_use> uses;
    for (const uint32_t expert : experts) {
        uses.push_back({ expert, 1, 1.0f });
    }
    cache.used(0, uses);
    for (const uint32_t expert : experts) {
        if (cache.slot_of({ 0, expert }) == slot_cache::none) {
            cache.take({ 0, expert });
        }
    }
}

std::set<uint32_t> residents(const slot_cache & cache) {
    std::set<uint32_t> all;
    for (uint32_t expert = 0; expert < cache.shape().experts; expert++) {
        if (cache.slot_of({ 0, expert }) != slot_cache::none) {
            all.insert(expert);
        }
    }
    return all;
}

// What leaves when 3 comes: 0 was used most often but longest ago, 1 once in between, 2 just now.
std::set<uint32_t> after_three(const char * policy) {
    const expert_cache_shape shape = shape_of(8, 3);
    slot_cache               cache(shape, cache_policy_make(policy, shape));
    for (const uint32_t expert : { 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u, 1u, 1u, 2u, 3u }) {
        use(cache, { expert });
    }
    return residents(cache);
}

void each_policy_follows_its_rule() {
    CHECK((after_three("lru") == std::set<uint32_t>{ 1, 2, 3 }));
    CHECK((after_three("lfu") == std::set<uint32_t>{ 0, 1, 3 }));          // 2 was used once
    CHECK((after_three("lfru") == std::set<uint32_t>{ 0, 1, 3 }));         // 8/5, 2/3, 1/2
    CHECK((after_three("score") == std::set<uint32_t>{ 0, 1, 3 }));        // 5.7 * 0.9^4, 1.9 * 0.9^2, 0.9
    CHECK((after_three("least-stale") == std::set<uint32_t>{ 1, 2, 3 }));  // oldest first
    CHECK((after_three("lrfu") == std::set<uint32_t>{ 0, 1, 3 }));         // 6.7 * 0.95^4, 1 * 0.95^2, 0.95
    CHECK(cache_policy_make("fifo", shape_of(8, 3)) == nullptr);
    CHECK_EQUAL(cache_policy_names().size(), 7u);
}

void lru_is_that_of_a_list() {
    std::mt19937             random(3);
    const expert_cache_shape shape = shape_of(16, 5);
    slot_cache               cache(shape, cache_policy_make("lru", shape));
    std::vector<uint32_t>    list;  // most recent last
    for (int i = 0; i < 2000; i++) {
        const uint32_t expert = random() % 16;
        list.erase(std::remove(list.begin(), list.end(), expert), list.end());
        list.push_back(expert);
        if (list.size() > 5) {
            list.erase(list.begin());
        }
        use(cache, { expert });
        CHECK(residents(cache) == std::set<uint32_t>(list.begin(), list.end()));
    }
}

void pinned_experts_stay() {
    const expert_cache_shape shape = shape_of(8, 2);
    slot_cache               cache(shape, cache_policy_make("lru", shape));
    use(cache, { 0 });
    use(cache, { 1 });
    cache.pin({ 0, 0 });
    expert_ref evicted;
    CHECK(cache.take({ 0, 2 }, &evicted) != slot_cache::none);
    CHECK_EQUAL(evicted.expert, 1u);
    cache.pin({ 0, 2 });
    cache.pin({ 0, 2 });
    cache.unpin({ 0, 2 });
    CHECK(cache.pinned({ 0, 2 }));
    CHECK_EQUAL(cache.take({ 0, 3 }), slot_cache::none);
    cache.unpin({ 0, 0 });
    const int32_t slot = cache.take({ 0, 3 }, &evicted);
    CHECK(slot != slot_cache::none && slot == cache.slot_of({ 0, 3 }));
    CHECK_EQUAL(evicted.expert, 0u);
    cache.drop({ 0, 3 });
    CHECK_EQUAL(cache.slot_of({ 0, 3 }), slot_cache::none);
    cache.take({ 0, 4 }, &evicted);
    CHECK_EQUAL(evicted.expert, UINT32_MAX);
}

void resizing_frees_the_slots_above() {
    const expert_cache_shape shape = shape_of(8, 4);
    slot_cache               cache(shape, cache_policy_make("lfru", shape));
    use(cache, { 0, 1, 2, 3 });
    CHECK_EQUAL(cache.resize(0, 2).size(), 2u);
    CHECK_EQUAL(residents(cache).size(), 2u);
    CHECK_EQUAL(cache.resize(0, 5).size(), 0u);
    cache.set_policy(cache_policy_make("lru", cache.shape()));
    use(cache, { 4, 5, 6 });
    CHECK_EQUAL(residents(cache).size(), 5u);
}

// Layer 1 uses 7 - e whenever layer 0 uses e.
void mirror(slot_cache & cache, uint32_t expert) {
    cache.used(0, { { expert, 1, 1.0f } });
    cache.used(1, { { 7 - expert, 1, 1.0f } });
}

slot_cache taught(uint32_t slots) {
    const expert_cache_shape shape{ 2, 8, { slots, slots } };
    slot_cache               cache(shape, cache_policy_make("foresight", shape));
    std::mt19937             random(2);
    for (int i = 0; i < 2000; i++) {
        mirror(cache, random() % 8);
    }
    return cache;
}

std::vector<uint32_t> take_ahead(slot_cache & cache, uint32_t layer, const read_ahead & ahead) {
    std::vector<uint32_t> experts;
    for (const taken_slot & taken : cache.take_ahead(layer, cache.foresee(layer), ahead)) {
        CHECK_EQUAL(cache.slot_of({ layer, taken.expert }), int32_t(taken.slot));
        experts.push_back(taken.expert);
    }
    return experts;
}

void what_is_foreseen_takes_a_slot() {
    for (uint32_t expert = 0; expert < 8; expert++) {
        slot_cache cache = taught(2);
        cache.take({ 1, expert });            // surely not wanted, and not in the way: there is a free slot
        cache.used(0, { { expert, 1, 1.0f } });
        CHECK((take_ahead(cache, 1, { 1, 0.5, 1.5 }) == std::vector<uint32_t>{ 7 - expert }));
        CHECK(cache.slot_of({ 1, 7 - expert }) != slot_cache::none);
        CHECK(cache.slot_of({ 1, expert }) != slot_cache::none);
        CHECK(take_ahead(cache, 1, { 1, 0.5, 1.5 }).empty());  // it is there
    }
}

void reading_ahead_keeps_to_its_limits() {
    slot_cache cache = taught(1);
    cache.used(0, { { 3, 1, 1.0f } });
    CHECK(take_ahead(cache, 1, { 0, 0.0, 1.0 }).empty());
    CHECK(take_ahead(cache, 1, { 1, 1.0, 1.0 }).empty());  // nothing is certain
    cache.take({ 1, 0 });
    cache.pin({ 1, 0 });
    CHECK(take_ahead(cache, 1, { 1, 0.5, 1.5 }).empty());  // no slot can be had
    cache.unpin({ 1, 0 });
    CHECK((take_ahead(cache, 1, { 4, 0.0, 1.5 }) == std::vector<uint32_t>{ 4 }));  // others are worth less than it
    const expert_cache_shape shape{ 2, 8, { 2, 2 } };
    slot_cache               lru(shape, cache_policy_make("lru", shape));
    mirror(lru, 3);
    CHECK(take_ahead(lru, 1, { 8, 0.0, 1.0 }).empty());
}

void foresight_foretells_with_probabilities() {
    const expert_cache_shape      shape{ 2, 8, { 2, 2 } };
    std::unique_ptr<cache_policy> policy = cache_policy_make("foresight", shape);
    std::mt19937                  random(2);
    for (int i = 0; i < 2000; i++) {
        const uint32_t expert = random() % 8;
        policy->used(0, { { expert, 1, 1.0f } });
        const std::vector<foreseen_use> foreseen = policy->foresee(1);
        CHECK_EQUAL(foreseen.size(), 8u);
        double before = 1.0;
        for (const foreseen_use & use : foreseen) {
            CHECK(use.probability >= 0.0 && use.probability <= before);
            const double keep = policy->keep_value({ 1, use.expert });  // a part of it is how often it was used of late
            CHECK(keep >= 0.8 * use.probability && keep <= 0.8 * use.probability + 0.2);
            before = use.probability;
        }
        CHECK(i < 500 || (foreseen[0].expert == 7 - expert && foreseen[0].probability > 0.5));
        policy->used(1, { { 7 - expert, 1, 1.0f } });
    }
}

// Expert e + 1 is used behind e of the first source, unless the second gives 0. No input tells.
void pairs_of_experts_are_learnt() {
    constexpr uint32_t          experts = 6;
    use_regression              regression(experts, { 0.0, 0.0, 0.0, 0.0, 0.0, -1.0 });
    std::vector<double>         rows(experts * use_regression::inputs, 0.0);
    std::vector<uint32_t>       first, second;
    std::mt19937                random(3);
    for (uint32_t e = 0; e < experts; e++) {
        rows[e * use_regression::inputs + use_regression::inputs - 1] = 1.0;
    }
    const auto before = regression.probabilities(rows, { &first, &second });
    CHECK(std::all_of(before.begin(), before.end(), [](double chance) { return chance > 0.26 && chance < 0.28; }));  // sigmoid(-1)
    for (int i = 0; i < 3000; i++) {
        first  = { uint32_t(random() % experts) };
        second = { uint32_t(random() % 2) };
        std::vector<expert_use> uses;
        if (second[0] == 1) {
            uses.push_back({ (first[0] + 1) % experts, 1, 1.0f });
        }
        if (i > 2000) {
            const std::vector<double> chances = regression.probabilities(rows, { &first, &second });
            for (uint32_t e = 0; e < experts; e++) {
                CHECK((chances[e] > 0.5) == (!uses.empty() && uses[0].expert == e));
            }
        }
        regression.learn(rows, { &first, &second }, uses);
    }
}

}  // namespace

int main() {
    each_policy_follows_its_rule();
    lru_is_that_of_a_list();
    pinned_experts_stay();
    resizing_frees_the_slots_above();
    what_is_foreseen_takes_a_slot();
    reading_ahead_keeps_to_its_limits();
    foresight_foretells_with_probabilities();
    pairs_of_experts_are_learnt();
    return moebius_test::check_result();
}
