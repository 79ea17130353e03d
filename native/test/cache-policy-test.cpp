// Cache policies and slots against a brute-force reading of their rules.
#include "check.h"
#include "experts/policy/slot-cache.h"

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

}  // namespace

int main() {
    each_policy_follows_its_rule();
    lru_is_that_of_a_list();
    pinned_experts_stay();
    resizing_frees_the_slots_above();
    return moebius_test::check_result();
}
