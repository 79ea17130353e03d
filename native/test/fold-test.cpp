// The parallel-folding search: the optimum of all splits on small rigs, never worse than the best coupled one, within every device's memory, and what its
// load options mean.
#include "check.h"
#include "experts/plan/fold.h"
#include "experts/plan/layer-spread.h"
#include "experts/store/device-slots.h"
#include "experts/store/expert-store.h"

#include <cmath>
#include <limits>
#include <numeric>
#include <random>

using namespace moebius;

namespace {

constexpr uint32_t all_blocks = 4, all_experts = 8;
constexpr uint64_t part_bytes = 4096, expert_size = 3 * part_bytes;

expert_layout layout_of(uint32_t experts = all_experts) {
    expert_layout layout;
    layout.experts = experts;
    layout.used    = 2;
    for (uint32_t i = 0; i < all_blocks; i++) {
        expert_layer layer;
        layer.block = int32_t(i);
        for (const expert_matrix matrix : { expert_matrix::gate, expert_matrix::up, expert_matrix::down }) {
            layer.parts.push_back({ matrix, GGML_TYPE_F32, 32, 32, 0, 0, part_bytes });
        }
        layout.layers.push_back(layer);
    }
    return layout;
}

plan_sizes sizes_of_four() {
    plan_sizes sizes;
    sizes.blocks    = { 10000, 20000, 30000, 40000 };
    sizes.kv        = { 5000, 5000, 5000, 5000 };
    sizes.embedding = 500;
    sizes.head      = 7000;
    sizes.compute   = 9000;
    return sizes;
}

struct small_rig {
    std::vector<double> seconds;  // [devices] of a unit of attention
    std::vector<batch_cost> experts;  // [devices]
    double hop;
};

fold_costs costs_on(const small_rig & rig) {
    fold_costs costs;
    costs.hop  = rig.hop;
    costs.rest = 1e-4;
    for (uint32_t b = 0; b < all_blocks; b++) {
        costs.blocks.emplace_back();
        costs.whole.emplace_back();
        for (size_t d = 0; d < rig.seconds.size(); d++) {
            costs.blocks[b].push_back(rig.seconds[d] * (b + 1));
            costs.whole[b].push_back(rig.experts[d].of(2, 2));
        }
    }
    costs.head = rig.seconds;
    costs.spread = [rig](const std::vector<uint32_t> & copies, uint64_t) {
        spread_question question{ all_experts, 2, 1, { all_experts }, 0, 0, rig.experts, {} };
        uint32_t        sum = 0;
        for (const uint32_t count : copies) {
            question.slots.push_back(count);
            sum += count;
        }
        question.found = std::min(1.0, double(sum) / all_experts);
        return all_blocks * spread_layer(question).seconds;
    };
    return costs;
}

struct found_by_hand {
    double   best = std::numeric_limits<double>::infinity(), coupled = best;
    uint32_t tried = 0;
};

// Every split of 4 blocks over RAM and two GPUs, with every number of copies on each, written out.
found_by_hand search_by_hand(const plan_rooms & rooms, const small_rig & rig) {
    const plan_sizes sizes = sizes_of_four();
    const fold_costs costs = costs_on(rig);
    found_by_hand    found;
    const auto       consider = [&](uint32_t first, uint32_t second, bool whole, uint32_t c1, uint32_t c2, bool coupled) {
        const uint32_t in_ram = all_blocks - first - second;
        uint64_t       need[3] = { sizes.embedding + sizes.compute, 0, 0 };
        double         seconds = costs.rest;
        uint32_t       last    = 0;
        for (uint32_t b = 0; b < all_blocks; b++) {
            const uint32_t d = b < in_ram ? 0 : b < in_ram + first ? 1 : 2;
            need[d] += sizes.blocks[b] + sizes.kv[b] + (whole ? all_experts * expert_size : 0);
            seconds += costs.blocks[b][d] + (d != last ? costs.hop : 0) + (whole ? costs.whole[b][d] : d != 0 ? 2 * costs.hop : 0);
            last = d;
        }
        need[last] += sizes.head;
        seconds += costs.head[last];
        need[1] += (first > 0 ? sizes.compute : 0) + (c1 > 0 ? sizes.compute : 0) + c1 * all_blocks * expert_size;
        need[2] += (second > 0 ? sizes.compute : 0) + (c2 > 0 ? sizes.compute : 0) + c2 * all_blocks * expert_size;
        need[0] += whole ? 0 : all_blocks * all_experts * expert_size;
        if (need[0] > rooms.ram || need[1] > rooms.gpus[0] || need[2] > rooms.gpus[1]) {
            return;
        }
        found.tried++;
        seconds += whole ? 0 : costs.spread({ c1, c2 }, 0);
        found.best    = std::min(found.best, seconds);
        found.coupled = coupled ? std::min(found.coupled, seconds) : found.coupled;
    };
    for (uint32_t first = 0; first <= all_blocks; first++) {
        for (uint32_t second = 0; first + second <= all_blocks; second++) {
            consider(first, second, true, 0, 0, true);
            consider(first, second, false, first * all_experts / all_blocks, second * all_experts / all_blocks, true);
            for (uint32_t c1 = 0; c1 <= all_experts; c1++) {
                for (uint32_t c2 = 0; c2 <= all_experts; c2++) {
                    consider(first, second, false, c1, c2, false);
                }
            }
        }
    }
    return found;
}

void check_within(const fold & split, const plan_rooms & rooms) {
    const tier_plan plan = fold_to_plan(split, sizes_of_four(), layout_of());
    CHECK(plan.needs[0].sum() <= rooms.ram);
    for (size_t g = 0; g < rooms.gpus.size(); g++) {
        CHECK(plan.needs[g + 1].sum() <= rooms.gpus[g]);
    }
}

void the_best_is_that_of_an_exhaustive_search_on_any_small_rig() {
    std::mt19937 random(11);
    const auto   between = [&](double low, double high) { return low * std::pow(high / low, double(random()) / 4294967296.0); };
    int          gains   = 0;
    for (int i = 0; i < 12; i++) {
        const plan_rooms rooms{ { uint64_t(between(3e4, 6e5)), uint64_t(between(3e4, 6e5)) }, 10000000 };
        small_rig        rig{ { 1e-3, between(1e-5, 1e-3), between(1e-5, 1e-3) }, {}, between(1e-7, 1e-4) };
        for (int d = 0; d < 3; d++) {
            rig.experts.push_back({ d == 0 ? 0 : between(1e-6, 1e-4), d == 0 ? 1e-3 : between(1e-5, 1e-3), 1e-6 });
        }
        const found_by_hand expected = search_by_hand(rooms, rig);
        const folding       found    = fold_best(sizes_of_four(), layout_of(), rooms, costs_on(rig));
        CHECK_NEAR(found.best.seconds, expected.best, 1e-12);
        CHECK_NEAR(found.coupled.seconds, expected.coupled, 1e-12);
        CHECK_EQUAL(found.tried, expected.tried);
        CHECK(found.best.seconds <= found.coupled.seconds);
        check_within(found.best, rooms);
        check_within(found.coupled, rooms);
        gains += found.best.seconds < 0.95 * found.coupled.seconds;
    }
    CHECK(gains > 0);
}

// A small fast GPU has room for attention alone, a large slow one for all experts.
void unequal_gpus_get_unequal_work() {
    const plan_rooms rooms{ { 160000, 420000 + 9000 }, 10000000 };
    const small_rig  rig{ { 1e-3, 1e-5, 5e-4 }, { { 0, 1e-3, 0 }, { 0, 1e-5, 0 }, { 0, 1e-4, 0 } }, 1e-6 };
    const folding    found = fold_best(sizes_of_four(), layout_of(), rooms, costs_on(rig));
    CHECK(found.best.blocks == (std::vector<uint32_t>{ 4, 0 }));
    CHECK(!found.best.whole);
    CHECK_EQUAL(found.best.copies[1], all_experts);
    CHECK(found.coupled.seconds > 1.3 * found.best.seconds);
}

void one_gpu_with_room_for_all_takes_all() {
    const plan_rooms rooms{ { 1000000 }, 10000000 };
    small_rig        rig{ { 1e-3, 1e-5 }, { { 0, 1e-3, 0 }, { 1e-6, 1e-5, 0 } }, 1e-6 };
    const folding    found = fold_best(sizes_of_four(), layout_of(), rooms, costs_on(rig));
    CHECK(found.best.whole);
    CHECK_EQUAL(found.best.gpu_layers(), all_blocks + 1);
    CHECK(fold_to_plan(found.best, sizes_of_four(), layout_of()).slots[1] == std::vector<uint32_t>(all_blocks, all_experts));
}

void what_fits_nowhere_is_refused_with_the_bytes() {
    const small_rig  rig{ { 1e-3 }, { { 0, 1e-3, 0 } }, 0 };
    const plan_rooms small{ {}, 50000 };
    const uint64_t   in_ram = expert_slot_bytes(layout_of().layers[0]);  // with what reads past the page cache need
    CHECK_THROWS(fold_best(sizes_of_four(), layout_of(), small, costs_on(rig)), user_error,
                 error.code == "model.does-not-fit" && error.details["have"] == 50000 && error.details["need"] == 136500 + 2 * 4 * in_ram);
    const plan_rooms few{ {}, 136500 + 10 * in_ram };  // 2 in each of 4 layers, and one more in two
    const folding    found = fold_best(sizes_of_four(), layout_of(), few, costs_on(rig));
    CHECK(fold_to_plan(found.best, sizes_of_four(), layout_of()).slots[0] == (std::vector<uint32_t>{ 3, 3, 2, 2 }));
}

void load_options_say_the_same() {
    fold split;
    split.blocks = { 3, 0, 1 };
    CHECK_EQUAL(split.gpu_layers(), 5u);
    CHECK(split.tensor_split() == (std::vector<uint32_t>{ 3, 0, 2 }));
    split.blocks = { 2, 0, 0 };
    CHECK(split.tensor_split() == (std::vector<uint32_t>{ 3, 0, 0 }));
    split.blocks = { 0, 0, 0 };
    CHECK_EQUAL(split.gpu_layers(), 0u);
    for (uint32_t copies = 0; copies <= all_experts; copies++) {
        const expert_layout layout = layout_of();
        CHECK(device_slots_for(layout, device_slots_bytes(layout, std::vector<uint32_t>(all_blocks, copies))) == std::vector<uint32_t>(all_blocks, copies));
    }
}

void large_rigs_are_tried_in_steps_from_nothing_to_all() {
    for (uint32_t gpus = 1; gpus <= 8; gpus++) {
        const auto blocks = fold_block_splits(61, gpus);
        const auto copies = fold_copy_splits(256, gpus);
        CHECK(blocks.size() <= 200 && copies.size() <= 256);
        uint32_t most_blocks = 0, most_copies = 0;
        for (const auto & split : blocks) {
            CHECK_EQUAL(split.size(), size_t(gpus));
            most_blocks = std::max(most_blocks, std::accumulate(split.begin(), split.end(), 0u));
        }
        for (const auto & split : copies) {
            most_copies = std::max(most_copies, *std::min_element(split.begin(), split.end()));
        }
        CHECK_EQUAL(most_blocks, 61u);
        CHECK_EQUAL(most_copies, 256u);
    }
    CHECK_EQUAL(fold_block_splits(4, 2).size(), size_t(15));  // all
    CHECK_EQUAL(fold_copy_splits(8, 2).size(), size_t(81));
}

}  // namespace

int main() {
    the_best_is_that_of_an_exhaustive_search_on_any_small_rig();
    unequal_gpus_get_unequal_work();
    one_gpu_with_room_for_all_takes_all();
    what_fits_nowhere_is_refused_with_the_bytes();
    load_options_say_the_same();
    large_rigs_are_tried_in_steps_from_nothing_to_all();
    return moebius_test::check_result();
}
