// How copies of experts come to be elsewhere: experts that change places where no slot is free, and a few at a time. Against brute force and their own rules.
#include "check.h"
#include "experts/policy/replica-controller.h"
#include "experts/policy/replica-counts.h"
#include "experts/policy/replica-improvement.h"
#include "experts/policy/replica-moves.h"
#include "experts/policy/replica-placement.h"
#include "experts/simulate/device-replay.h"

#include <numeric>
#include <random>

using namespace moebius;

namespace {

const std::vector<int32_t> no_experts;
const token_routes         unknown{ no_experts, 0 };

using samples = std::vector<std::vector<double>>;

std::vector<double> random_loads(std::mt19937 & random, uint32_t experts) {
    std::vector<double> loads(experts);
    for (double & load : loads) {
        load = 1 + double(random() % 100) * double(random() % 10);
    }
    return loads;
}

// As many slots as experts, in any shares.
layer_rig full_rig(std::mt19937 & random, uint32_t experts, uint32_t devices) {
    layer_rig rig;
    for (uint32_t d = 0; d < devices; d++) {
        rig.speeds.push_back(1.0 + double(random() % 3) / 2);
        rig.slots.push_back(1);
    }
    for (uint32_t slot = devices; slot < experts; slot++) {
        rig.slots[random() % devices]++;
    }
    return rig;
}

std::vector<uint32_t> used_slots(const layer_placement & placement, uint32_t devices) {
    std::vector<uint32_t> used(devices, 0);
    for (const device_set copies : placement) {
        for (uint32_t d = 0; d < devices; d++) {
            used[d] += has(copies, d) ? 1 : 0;
        }
    }
    return used;
}

bool is_valid(const layer_placement & placement, const layer_rig & rig) {
    const auto used = used_slots(placement, rig.devices());
    for (uint32_t d = 0; d < rig.devices(); d++) {
        if (used[d] > rig.slots[d]) {
            return false;
        }
    }
    return std::all_of(placement.begin(), placement.end(), [&](device_set copies) { return copies != 0 && copies >> rig.devices() == 0; });
}

layer_placement random_placement(std::mt19937 & random, const layer_rig & rig) {
    layer_placement placement;
    for (uint32_t d = 0; d < rig.devices(); d++) {
        placement.insert(placement.end(), rig.slots[d], 1u << d);
    }
    std::shuffle(placement.begin(), placement.end(), random);
    return placement;
}

// Of all ways to give every slot one expert.
double best_imbalance(const samples & loads, const layer_rig & rig) {
    layer_placement placement;
    for (uint32_t d = 0; d < rig.devices(); d++) {
        placement.insert(placement.end(), rig.slots[d], 1u << d);
    }
    double best = INFINITY;
    do {
        best = std::min(best, imbalance(loads, placement, rig));
    } while (std::next_permutation(placement.begin(), placement.end()));
    return best;
}

void experts_change_places_where_no_slot_is_free() {
    std::mt19937 random(21);
    double       before = 0, own = 0, best = 0;
    int          optimal = 0;
    const int    rounds  = 200;
    for (int round = 0; round < rounds; round++) {
        const uint32_t        experts = 4 + random() % 5, devices = 2 + random() % 2;
        const layer_rig       rig     = full_rig(random, experts, devices);
        const samples         loads   = { random_loads(random, experts) };
        const layer_placement first   = random_placement(random, rig);
        const layer_placement better  = place_improved(first, loads, rig, 32);
        const double          least = best_imbalance(loads, rig), reached = imbalance(loads, better, rig);
        CHECK(is_valid(better, rig));
        CHECK(reached >= least - 1e-9);
        CHECK(reached <= imbalance(loads, first, rig));
        before += imbalance(loads, first, rig);
        own += reached;
        best += least;
        optimal += reached <= least * 1.001 ? 1 : 0;
    }
    std::fprintf(stderr, "imbalance %.3f before, %.3f reached by swaps, %.3f at best; optimal in %d of %d\n", before / rounds, own / rounds, best / rounds, optimal, rounds);
    CHECK(optimal >= rounds * 60 / 100);
    CHECK(own <= best * 1.05);
    CHECK(own < before * 0.8);
}

void swaps_count_as_two_copies() {
    std::mt19937 random(22);
    for (int round = 0; round < 100; round++) {
        const layer_rig       rig   = full_rig(random, 24, 4);
        const samples         loads = { random_loads(random, 24), random_loads(random, 24) };
        const layer_placement first = random_placement(random, rig);
        for (const uint32_t steps : { 0u, 1u, 2u, 5u, 8u }) {
            const layer_placement next = place_improved(first, loads, rig, steps);
            CHECK(copies_to_move(first, next) <= steps / 2 * 2);
            CHECK(is_valid(next, rig));
        }
        CHECK(copies_to_move(first, place_improved(first, loads, rig, 2)) == 2);
    }
}

// An expert that is busier than a device can be: the others are made even all the same.
void devices_beside_one_that_cannot_be_helped_are_made_even() {
    const layer_rig       rig{ { 1, 1, 1 }, { 1, 2, 2 } };
    const samples         loads = { { 100, 9, 8, 2, 1 } };
    const layer_placement next  = place_improved({ 1, 2, 2, 4, 4 }, loads, rig, 8);
    CHECK_EQUAL(next[0], 1u);
    CHECK((next[1] == next[4]) && (next[2] == next[3]) && next[1] != next[2]);  // 10 and 10
}

void a_change_in_parts_keeps_every_expert_and_arrives() {
    std::mt19937 random(23);
    for (int round = 0; round < 300; round++) {
        const uint32_t  experts = 4 + random() % 20, devices = 2 + random() % 4;
        layer_rig       rig   = full_rig(random, std::max(experts, devices), devices);
        layer_placement from  = random_placement(random, rig), to = random_placement(random, rig);
        const auto      loads = random_loads(random, uint32_t(from.size()));
        for (const uint32_t most : { 0u, 1u, 2u, 3u, 7u }) {
            layer_placement now = from;
            for (int part = 0; part < 40; part++) {
                const layer_placement next = place_towards(now, to, loads, rig, most);
                CHECK(is_valid(next, rig));
                CHECK(copies_to_move(now, next) <= most);
                CHECK(copies_to_move(next, to) + copies_to_move(now, next) == copies_to_move(now, to));  // nothing is moved in vain
                now = next;
            }
            CHECK(most > 1 || now == from);           // nobody can change places with one copy
            CHECK(now == to || most < experts);       // circles may be longer
        }
    }
    const layer_rig       rig{ { 1, 1 }, { 3, 3 } };
    const layer_placement from = { 1, 1, 1, 2, 2, 2 }, to = { 2, 2, 1, 1, 1, 2 };
    const layer_placement half = place_towards(from, to, { 1, 9, 1, 2, 8, 1 }, rig, 3);
    CHECK((half == layer_placement{ 1, 2, 1, 1, 2, 2 }));  // the busiest, with the first that makes room for it
    CHECK(place_towards(half, to, { 1, 9, 1, 2, 8, 1 }, rig, 2) == to);
}

// No spare slot: the controller is at least as even as EPLB, which packs all anew, with a fraction of its copies.
void the_controller_balances_without_spare_slots() {
    synthetic_load_settings made;
    made.batches       = 200;
    const auto batches = synthetic_loads(made);
    for (const uint32_t devices : { 2u, 4u, 8u }) {
        device_replay_settings settings;
        settings.rig    = { std::vector<double>(devices, 1.0), std::vector<uint32_t>(devices, made.experts / devices) };
        const auto of   = [&](const char * policy) {
            settings.policy = policy;
            return replay_on_devices(batches, settings, [] {});
        };
        const auto fixed = of("static"), eplb = of("eplb"), ours = of("adaptive");
        std::fprintf(stderr, "%u devices, a slot an expert: static %.3f, EPLB %.3f, ours %.3f; copies %.2f of EPLB's\n", devices, fixed.balance_mean, eplb.balance_mean, ours.balance_mean,
                     double(ours.copies_moved) / double(eplb.copies_moved));
        CHECK(ours.balance_mean <= eplb.balance_mean);
        CHECK(ours.balance_mean < fixed.balance_mean - 0.03);
        CHECK(ours.copies_moved < eplb.copies_moved / 2);
    }
}

// Loads that jump are followed at once; loads that vary by chance are averaged.
void the_past_is_forgotten_when_loads_jump() {
    replica_controller    controller(4, { { 1, 1 }, { 2, 2 }, {} });
    std::mt19937          random(25);
    std::vector<uint32_t> tokens = { 400, 300, 200, 100 };
    for (int window = 0; window < 20; window++) {
        std::vector<uint32_t> seen = tokens;
        for (uint32_t & count : seen) {
            count += random() % 21 - 10;
        }
        controller.observe(seen, unknown);
        controller.decide();
    }
    for (size_t e = 0; e < 4; e++) {
        CHECK_NEAR(controller.loads()[e], tokens[e], 10);  // the last window alone may be 10 off
    }
    controller.observe({ 100, 100, 100, 700 }, unknown);
    controller.decide();
    CHECK_NEAR(controller.loads()[3], 700, 70);
}

}  // namespace

int main() {
    experts_change_places_where_no_slot_is_free();
    swaps_count_as_two_copies();
    devices_beside_one_that_cannot_be_helped_are_made_even();
    a_change_in_parts_keeps_every_expert_and_arrives();
    the_controller_balances_without_spare_slots();
    the_past_is_forgotten_when_loads_jump();
    return moebius_test::check_result();
}
