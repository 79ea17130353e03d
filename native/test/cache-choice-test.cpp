// Which policy and slots recorded routing speaks for.
#include "check.h"
#include "experts/simulate/cache-choice.h"

#include <random>

using namespace moebius;

namespace {

constexpr uint32_t experts = 16;

// Layer 0 goes round 10 experts in turn; layer 1 uses the same two, and now and then another one.
routing_trace lopsided(uint32_t sequences) {
    std::mt19937  random(5);
    routing_trace trace{ "m", { { 0, 1 }, experts, 1 }, {}, true };
    for (uint32_t sequence = 0; sequence < sequences; sequence++) {
        for (uint32_t first = 0; first < 121; first += first == 0 ? 1 : 120) {
            trace_record record{ sequence, first, first == 0 ? 1u : 120u, {}, {} };
            for (uint32_t token = 0; token < record.tokens; token++) {
                record.experts.push_back(uint16_t((first + token) % 10));
                record.experts.push_back(uint16_t(random() % 30 == 0 ? 2 + random() % (experts - 2) : token % 2));
            }
            record.weights.assign(record.experts.size(), 1.0f);
            trace.records.push_back(std::move(record));
        }
    }
    return trace;
}

choice_settings settings_of(uint64_t budget) {
    choice_settings settings;
    settings.budget = budget;
    return settings;
}

void the_policy_with_the_fewest_reads_is_chosen() {
    const cache_choice choice = choose_cache(lopsided(6), settings_of(12));
    CHECK_EQUAL(choice.tried.size(), cache_policy_names().size());
    const auto reads_of = [&](const std::string & name) {
        for (const policy_choice & tried : choice.tried) {
            if (tried.name == name) {
                return tried.result.all.reads();
            }
        }
        return UINT64_MAX;
    };
    for (const policy_choice & tried : choice.tried) {
        CHECK(reads_of(choice.policy) <= tried.result.all.reads());
    }
    CHECK(reads_of(choice.policy) < reads_of("lru"));  // who goes round more experts than there are slots is the worst case of lru
}

void slots_go_where_they_save_reads() {
    const cache_choice choice = choose_cache(lopsided(6), settings_of(12));
    CHECK(choice.allocation == "marginal");
    CHECK_EQUAL(choice.slots[0] + choice.slots[1], 12u);
    CHECK(choice.slots[0] > 7 && choice.slots[1] >= 2);
    CHECK(choice.figures.reads() < choice.uniform.reads());
    choice_settings fixed = settings_of(12);
    fixed.allocation      = "uniform";
    CHECK((choose_cache(lopsided(6), fixed).slots == std::vector<uint32_t>{ 6, 6 }));
    fixed.allocation = "shallow";
    CHECK((choose_cache(lopsided(6), fixed).slots == std::vector<uint32_t>{ 9, 3 }));
}

// One sequence cannot be learnt from and judged by.
void one_sequence_leaves_the_slots_uniform() {
    CHECK(choose_cache(lopsided(1), settings_of(12)).allocation == "uniform");
}

// With all experts there, nothing saves anything.
void without_misses_the_choice_is_lru_and_uniform() {
    const cache_choice choice = choose_cache(lopsided(6), settings_of(2 * experts));
    CHECK(choice.policy == "lru" && choice.allocation == "uniform");
    CHECK_EQUAL(choice.figures.misses, 0u);
}

void a_fixed_policy_is_kept() {
    choice_settings settings = settings_of(12);
    settings.policy          = "lru";
    CHECK(choose_cache(lopsided(6), settings).policy == "lru");
}

}  // namespace

int main() {
    the_policy_with_the_fewest_reads_is_chosen();
    slots_go_where_they_save_reads();
    one_sequence_leaves_the_slots_uniform();
    without_misses_the_choice_is_lru_and_uniform();
    a_fixed_policy_is_kept();
    return moebius_test::check_result();
}
