// How sequences share batches. No model needed.
#include "check.h"
#include "decode/batch-plan.h"

#include <map>

using namespace moebius;

namespace {

const batch_limits limits{ 256, 32, 128, false };

std::map<uint32_t, uint32_t> shares(const batch_plan & plan) {
    std::map<uint32_t, uint32_t> by_slot;
    for (const batch_share & share : plan) {
        by_slot[share.slot] = share.count;
    }
    return by_slot;
}

void check_decoding() {
    const auto plans = plan_batches({ { 0, 1, false }, { 2, 1, false }, { 3, 1, false } }, limits, 5);
    CHECK_EQUAL(plans.size(), 1u);
    CHECK(shares(plans[0]) == (std::map<uint32_t, uint32_t>{ { 0, 1 }, { 2, 1 }, { 3, 1 } }));
    CHECK(plans[0][0].slot == 0 && plans[0][1].slot == 2 && plans[0][2].slot == 3);
}

void check_prompts() {
    // a prompt alone takes the whole batch, beside decoding only its share
    CHECK_EQUAL(plan_batches({ { 1, 1000, false } }, limits, 0)[0][0].count, 256u);
    const auto mixed = plan_batches({ { 0, 1000, false }, { 1, 1, false } }, limits, 0);
    CHECK(shares(mixed[0]) == (std::map<uint32_t, uint32_t>{ { 0, 128 }, { 1, 1 } }));
    // prompts share evenly; what a short one leaves goes to the long one
    const auto two = plan_batches({ { 0, 10, false }, { 1, 1000, false } }, limits, 0);
    CHECK(shares(two[0]) == (std::map<uint32_t, uint32_t>{ { 0, 10 }, { 1, 246 } }));
    const auto even = plan_batches({ { 0, 500, false }, { 1, 500, false } }, limits, 0);
    CHECK(shares(even[0]) == (std::map<uint32_t, uint32_t>{ { 0, 128 }, { 1, 128 } }));
}

void check_nobody_starves() {
    // more prompts than tokens: turns go round
    std::map<uint32_t, uint32_t> total;
    const batch_limits           tiny{ 2, 2, 2, false };
    for (uint64_t turn = 0; turn < 12; ++turn) {
        for (const batch_plan & plan : plan_batches({ { 0, 99, false }, { 1, 99, false }, { 2, 99, false } }, tiny, turn)) {
            for (const batch_share & share : plan) {
                total[share.slot] += share.count;
            }
        }
    }
    CHECK_EQUAL(total[0], 8u);
    CHECK_EQUAL(total[1], 8u);
    CHECK_EQUAL(total[2], 8u);
    // a full batch of decoding sequences leaves no room, and that is no error
    const auto full = plan_batches({ { 0, 1, false }, { 1, 1, false }, { 2, 50, false } }, tiny, 0);
    CHECK(full.size() == 1 && shares(full[0]).count(2) == 0);
}

void check_separate_batches() {
    batch_limits recurrent = limits;
    recurrent.by_sequence  = true;
    const auto plans       = plan_batches({ { 0, 1, false }, { 1, 40, false }, { 2, 1, false }, { 3, 40, false } }, recurrent, 0);
    CHECK_EQUAL(plans.size(), 3u);
    CHECK(shares(plans[0]) == (std::map<uint32_t, uint32_t>{ { 0, 1 }, { 2, 1 } }));
    CHECK(plans[1].size() == 1 && plans[2].size() == 1);
    // all logits: bounded by the outputs, alone
    const auto logits = plan_batches({ { 0, 1, false }, { 1, 100, true } }, limits, 0);
    CHECK(logits.size() == 2 && logits[1][0].count == 32);
}

}  // namespace

int main() {
    check_decoding();
    check_prompts();
    check_nobody_starves();
    check_separate_batches();
    return moebius_test::check_result();
}
