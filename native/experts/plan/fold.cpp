#include "fold.h"

#include "experts/policy/token-split.h"
#include "experts/store/device-slots.h"
#include "experts/store/expert-store.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

namespace moebius {

namespace {

constexpr size_t block_splits_most = 200;
constexpr size_t copy_splits_most  = 128;

double compositions(uint32_t units, uint32_t gpus) {
    double count = 1;
    for (uint32_t g = 1; g <= gpus; g++) {
        count *= double(units + g) / double(g);
    }
    return count;
}

// All that hold at most `left` in all.
void add_splits(std::vector<uint32_t> & begun, uint32_t left, uint32_t gpus, const std::function<void(const std::vector<uint32_t> &)> & each) {
    if (begun.size() == gpus) {
        each(begun);
        return;
    }
    for (uint32_t count = 0; count <= left; count++) {
        begun.push_back(count);
        add_splits(begun, left - count, gpus, each);
        begun.pop_back();
    }
}

std::vector<uint32_t> devices_of_blocks(const std::vector<uint32_t> & split, size_t blocks) {
    std::vector<uint32_t> devices(blocks - std::accumulate(split.begin(), split.end(), size_t(0)), 0);
    for (uint32_t g = 0; g < split.size(); g++) {
        devices.insert(devices.end(), split[g], g + 1);
    }
    return devices;
}

uint64_t ram_slots_bytes(const expert_layout & layout, const std::vector<uint32_t> & counts) {
    uint64_t sum = 0;
    for (size_t i = 0; i < counts.size(); i++) {
        sum += counts[i] * expert_slot_bytes(layout.layers[i]);
    }
    return sum;
}

user_error nothing_fits(uint64_t need, uint64_t have) {
    return user_error("model.does-not-fit",
                      "The model does not fit: the RAM would have to hold at least " + std::to_string(need) + " bytes (two experts of each layer among them), and has " +
                          std::to_string(have) + ". Give it more RAM or the GPUs more memory, or take a shorter context.",
                      { { "need", need }, { "have", have }, { "device", "CPU" } });
}

class fold_search {
  public:
    fold_search(const plan_sizes & model_sizes, const expert_layout & of, const plan_rooms & there, const fold_costs & seconds)
        : sizes(model_sizes), layout(of), rooms(there), costs(seconds), ram_bytes(fold_ram_bytes(model_sizes, of, there)) {}

    folding run() {
        found.best.seconds = found.coupled.seconds = std::numeric_limits<double>::infinity();
        const auto copies                          = fold_copy_splits(layout.experts, uint32_t(rooms.gpus.size()));
        for (const std::vector<uint32_t> & blocks : fold_block_splits(uint32_t(sizes.blocks.size()), uint32_t(rooms.gpus.size()))) {
            fold split;
            split.blocks    = blocks;
            const double on = attention_seconds(blocks);
            split.whole     = true;
            split.copies.assign(blocks.size(), 0);
            offer(split, on + whole_seconds(blocks), true);
            if (layout.empty()) {
                continue;
            }
            split.whole     = false;
            split.ram_bytes = ram_bytes;
            const double to_store = hops_to_store(blocks);
            split.copies          = fold_coupled_copies(blocks, uint32_t(sizes.blocks.size()), layout.experts);
            offer(split, on + to_store, true);
            for (const std::vector<uint32_t> & each : copies) {
                split.copies = each;
                offer(split, on + to_store, false);
            }
        }
        if (found.tried == 0) {
            throw nothing_fits(least_ram, rooms.ram);
        }
        return found;
    }

  private:
    // `seconds`: without experts that the store spreads, which is asked only of what fits.
    void offer(fold split, double seconds, bool coupled) {
        const tier_plan plan = fold_to_plan(split, sizes, layout);
        for (size_t g = 0; g < rooms.gpus.size(); g++) {
            if (plan.needs[g + 1].sum() > rooms.gpus[g]) {
                return;
            }
        }
        least_ram = std::min(least_ram, plan.needs[0].sum());
        if (plan.needs[0].sum() > rooms.ram) {
            return;
        }
        found.tried++;
        split.seconds = seconds + (split.whole ? 0 : spread_seconds(split.copies));
        if (split.seconds < found.best.seconds) {
            found.best = split;
        }
        if (coupled && split.seconds < found.coupled.seconds) {
            found.coupled = split;
        }
    }

    double spread_seconds(const std::vector<uint32_t> & copies) {
        const auto known = spread.find(copies);
        return known != spread.end() ? known->second : spread[copies] = costs.spread(copies, ram_bytes);
    }

    double attention_seconds(const std::vector<uint32_t> & blocks) const {
        const std::vector<uint32_t> devices = devices_of_blocks(blocks, sizes.blocks.size());
        double                      sum     = costs.rest;
        uint32_t                    last    = 0;
        for (size_t b = 0; b < devices.size(); b++) {
            sum += costs.blocks[b][devices[b]] + (devices[b] != last ? costs.hop : 0);
            last = devices[b];
        }
        return sum + costs.head[last];
    }

    double whole_seconds(const std::vector<uint32_t> & blocks) const {
        const std::vector<uint32_t> devices = devices_of_blocks(blocks, sizes.blocks.size());
        double                      sum     = 0;
        for (size_t i = 0; i < layout.layers.size(); i++) {
            sum += costs.whole[i][devices[size_t(layout.layers[i].block)]];
        }
        return sum;
    }

    // The store works in RAM, and its devices from there.
    double hops_to_store(const std::vector<uint32_t> & blocks) const {
        const std::vector<uint32_t> devices = devices_of_blocks(blocks, sizes.blocks.size());
        return 2 * costs.hop * double(std::count_if(layout.layers.begin(), layout.layers.end(), [&](const expert_layer & layer) { return devices[size_t(layer.block)] != 0; }));
    }

    const plan_sizes &                      sizes;
    const expert_layout &                   layout;
    const plan_rooms &                      rooms;
    const fold_costs &                      costs;
    uint64_t                                ram_bytes;
    uint64_t                                least_ram = std::numeric_limits<uint64_t>::max();
    std::map<std::vector<uint32_t>, double> spread;
    folding                                 found;
};

}  // namespace

uint32_t fold::blocks_on_gpus() const {
    return std::accumulate(blocks.begin(), blocks.end(), 0u);
}

uint32_t fold::gpu_layers() const {
    return blocks_on_gpus() > 0 ? blocks_on_gpus() + 1 : 0;
}

std::vector<uint32_t> fold::tensor_split() const {
    std::vector<uint32_t> split = blocks;
    const auto            last  = std::find_if(split.rbegin(), split.rend(), [](uint32_t count) { return count > 0; });
    if (last != split.rend()) {
        ++*last;  // the output layer
    }
    return split;
}

std::vector<std::vector<uint32_t>> fold_block_splits(uint32_t blocks, uint32_t gpus) {
    uint32_t units = blocks;
    while (units > 1 && compositions(units, gpus) > double(block_splits_most)) {
        units--;
    }
    std::vector<std::vector<uint32_t>> all;
    std::vector<uint32_t>              begun;
    const auto                         at = [&](uint32_t unit) { return units == 0 ? 0 : (unit * blocks + units / 2) / units; };
    add_splits(begun, units, gpus, [&](const std::vector<uint32_t> & split) {
        std::vector<uint32_t> counts;
        uint32_t              passed = units - std::accumulate(split.begin(), split.end(), 0u);  // in RAM
        for (const uint32_t part : split) {
            counts.push_back(at(passed + part) - at(passed));
            passed += part;
        }
        all.push_back(std::move(counts));
    });
    return all;
}

std::vector<std::vector<uint32_t>> fold_copy_splits(uint32_t experts, uint32_t gpus) {
    if (gpus == 0) {
        return { {} };
    }
    uint32_t levels = std::max(1u, experts);
    while (levels > 1 && std::pow(double(levels + 1), double(gpus)) > double(copy_splits_most)) {
        levels--;
    }
    std::vector<std::vector<uint32_t>> all = { {} };
    for (uint32_t g = 0; g < gpus; g++) {
        std::vector<std::vector<uint32_t>> longer;
        for (const std::vector<uint32_t> & begun : all) {
            for (uint32_t level = 0; level <= levels; level++) {
                longer.push_back(begun);
                longer.back().push_back((level * experts + levels / 2) / levels);
            }
        }
        all = std::move(longer);
    }
    return all;
}

uint64_t fold_ram_bytes(const plan_sizes & sizes, const expert_layout & layout, const plan_rooms & rooms) {
    if (layout.empty()) {
        return 0;
    }
    const fold     all_in_ram{ std::vector<uint32_t>(rooms.gpus.size(), 0), false, std::vector<uint32_t>(rooms.gpus.size(), 0), expert_slots_least_bytes(layout), 0 };
    const device_need need   = fold_to_plan(all_in_ram, sizes, layout).needs[0];
    const uint64_t    before = need.sum() - need.experts;
    const uint64_t    left   = rooms.ram - std::min(rooms.ram, before);
    return std::clamp(left, expert_slots_least_bytes(layout), expert_slots_most_bytes(layout));
}

std::vector<uint32_t> fold_coupled_copies(const std::vector<uint32_t> & blocks, uint32_t all_blocks, uint32_t experts) {
    std::vector<uint32_t> copies;
    for (const uint32_t count : blocks) {
        copies.push_back(all_blocks == 0 ? 0 : (count * experts + all_blocks / 2) / all_blocks);
    }
    return copies;
}

tier_plan fold_to_plan(const fold & split, const plan_sizes & sizes, const expert_layout & layout) {
    const size_t gpus = split.blocks.size();
    tier_plan    plan;
    plan.stored       = !split.whole;
    plan.block_device = devices_of_blocks(split.blocks, sizes.blocks.size());
    plan.head_device  = plan.block_device.empty() ? 0 : plan.block_device.back();
    plan.needs.assign(gpus + 1, {});
    plan.slots.assign(gpus + 1, std::vector<uint32_t>(layout.layers.size(), 0));
    plan.needs[0].weights = sizes.embedding;
    plan.needs[0].compute = sizes.compute;
    for (size_t b = 0; b < plan.block_device.size(); b++) {
        device_need & need = plan.needs[plan.block_device[b]];
        need.weights += sizes.blocks[b];
        need.kv += sizes.kv[b];
    }
    plan.needs[plan.head_device].weights += sizes.head;
    for (size_t i = 0; i < layout.layers.size() && split.whole; i++) {
        plan.slots[plan.block_device[size_t(layout.layers[i].block)]][i] = layout.experts;
    }
    if (!split.whole) {
        plan.slots[0] = expert_slots_for(layout, split.ram_bytes);
    }
    for (size_t g = 0; g < gpus; g++) {
        device_need & need = plan.needs[g + 1];
        need.compute       = (split.blocks[g] > 0 ? sizes.compute : 0) + (split.copies[g] > 0 ? sizes.compute : 0);
        if (!split.whole) {
            plan.slots[g + 1].assign(layout.layers.size(), split.copies[g]);
        }
    }
    for (size_t d = 0; d <= gpus; d++) {
        plan.needs[d].experts = d == 0 && !split.whole ? ram_slots_bytes(layout, plan.slots[0]) : device_slots_bytes(layout, plan.slots[d]);
    }
    return plan;
}

folding fold_best(const plan_sizes & sizes, const expert_layout & layout, const plan_rooms & rooms, const fold_costs & costs) {
    if (rooms.gpus.size() > devices_most) {
        throw user_error("request.invalid", "The best split is sought over at most " + std::to_string(devices_most) + " GPUs, not " + std::to_string(rooms.gpus.size()) + ".",
                         { { "devices", rooms.gpus.size() } });
    }
    return fold_search(sizes, layout, rooms, costs).run();
}

}  // namespace moebius
