#include "tier-plan.h"

#include "experts/store/device-slots.h"
#include "experts/store/expert-store.h"

#include <algorithm>
#include <numeric>

namespace moebius {

namespace {

// Gives the last `count` blocks to the GPUs in order, each as many as its share of all rooms. False: one does not hold its part.
bool split_blocks(const plan_sizes & sizes, const plan_rooms & rooms, size_t count, tier_plan & plan) {
    const size_t   blocks = sizes.blocks.size();
    const uint64_t all    = std::accumulate(rooms.gpus.begin(), rooms.gpus.end(), uint64_t(0));
    uint64_t       passed = 0;
    plan.block_device.assign(blocks, 0);
    plan.needs.assign(rooms.gpus.size() + 1, {});
    size_t next = blocks - count;
    for (uint32_t g = 0; g < rooms.gpus.size(); g++) {
        passed += rooms.gpus[g];
        const size_t end = g + 1 == rooms.gpus.size() ? blocks : blocks - count + size_t(double(count) * double(passed) / double(std::max<uint64_t>(all, 1)) + 0.5);
        device_need & need = plan.needs[g + 1];
        for (; next < end; next++) {
            plan.block_device[next] = g + 1;
            need.weights += sizes.blocks[next];
            need.kv += sizes.kv[next];
        }
        need.compute = sizes.compute;
        if (end == blocks && plan.head_device == 0) {
            plan.head_device = g + 1;
            need.weights += sizes.head;
        }
        if (need.sum() > rooms.gpus[g]) {
            return false;
        }
    }
    return true;
}

void place_blocks(const plan_sizes & sizes, const plan_rooms & rooms, tier_plan & plan) {
    bool placed = false;
    for (size_t count = sizes.blocks.size(); count > 0 && !placed && !rooms.gpus.empty(); count--) {
        plan.head_device = 0;
        placed           = split_blocks(sizes, rooms, count, plan);
    }
    if (!placed) {
        plan.block_device.assign(sizes.blocks.size(), 0);
        plan.needs.assign(rooms.gpus.size() + 1, {});
        plan.head_device = 0;
    }
    device_need & ram = plan.needs[0];
    ram.weights       = sizes.embedding + (plan.head_device == 0 ? sizes.head : 0);
    ram.compute       = sizes.compute;
    for (size_t b = 0; b < sizes.blocks.size(); b++) {
        ram.weights += plan.block_device[b] == 0 ? sizes.blocks[b] : 0;
        ram.kv += plan.block_device[b] == 0 ? sizes.kv[b] : 0;
    }
}

uint64_t slots_bytes(const expert_layout & layout, const std::vector<uint32_t> & slots) {
    uint64_t sum = 0;
    for (size_t i = 0; i < slots.size(); i++) {
        for (const expert_part & part : layout.layers[i].parts) {
            sum += slots[i] * part.bytes;
        }
    }
    return sum;
}

user_error too_small(uint64_t need, uint64_t have) {
    return user_error("model.does-not-fit",
                      "The model does not fit: the RAM would have to hold at least " + std::to_string(need) + " bytes (two experts of each layer among them), and has " +
                          std::to_string(have) + ". Give it more RAM or the GPUs more memory, or take a shorter context.",
                      { { "need", need }, { "have", have }, { "device", "CPU" } });
}

}  // namespace

tier_plan plan_tiers(const plan_sizes & sizes, const expert_layout & layout, const plan_rooms & rooms) {
    tier_plan plan;
    plan.stored = !layout.empty();
    place_blocks(sizes, rooms, plan);
    plan.slots.assign(rooms.gpus.size() + 1, std::vector<uint32_t>(layout.layers.size(), 0));
    if (layout.empty()) {
        if (plan.needs[0].sum() > rooms.ram) {
            throw too_small(plan.needs[0].sum(), rooms.ram);
        }
        return plan;
    }
    for (uint32_t d = 1; d < plan.slots.size(); d++) {
        plan.slots[d]         = device_slots_for(layout, rooms.gpus[d - 1] - std::min(rooms.gpus[d - 1], plan.needs[d].sum()));
        plan.needs[d].experts = slots_bytes(layout, plan.slots[d]);
    }
    const uint64_t before = plan.needs[0].sum();
    const uint64_t left   = rooms.ram - std::min(rooms.ram, before);
    const bool     whole  = layout.bytes() <= left;
    const uint64_t least  = before + std::min(layout.bytes(), expert_slots_least_bytes(layout));
    if (!whole && least > rooms.ram) {
        throw too_small(least, rooms.ram);
    }
    plan.slots[0]         = whole ? std::vector<uint32_t>(layout.layers.size(), layout.experts) : expert_slots_for(layout, left);
    plan.needs[0].experts = slots_bytes(layout, plan.slots[0]);
    return plan;
}

std::vector<uint32_t> all_slots(const tier_plan & plan, uint32_t first_device, uint32_t experts) {
    std::vector<uint32_t> sum(plan.slots.empty() ? 0 : plan.slots[0].size(), 0);
    for (uint32_t d = first_device; d < plan.slots.size(); d++) {
        for (size_t i = 0; i < sum.size(); i++) {
            sum[i] = std::min(experts, sum[i] + plan.slots[d][i]);
        }
    }
    return sum;
}

}  // namespace moebius
