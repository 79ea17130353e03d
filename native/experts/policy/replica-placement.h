// Where the copies of a layer's experts go: at least one of each, as many on a device as it has slots, none twice on one. Pure.
#pragma once

#include "token-split.h"

#include <functional>

namespace moebius {

// Tokens that two experts of a layer have in common (expert_affinity). Empty: not known, and devices that are equally good stay in their order.
//
// Equally good: within 0.2% of the mean load of a device. Then a copy is made where more tokens already go that use its expert, or taken away where fewer do.
using tokens_in_common = std::function<double(uint32_t a, uint32_t b)>;

// The devices as one layer sees them.
struct layer_rig {
    std::vector<double>   speeds;  // [devices], load per unit of time
    std::vector<uint32_t> slots;   // [devices], experts that have room

    uint32_t devices() const { return uint32_t(speeds.size()); }
    uint32_t total_slots() const;
};

// Throws request.invalid: no device or too many, a speed that is not above 0, fewer slots than `experts` in all.
void check_rig(const layer_rig & rig, uint32_t experts);

// One copy each, neighbours together, as many on a device as its share of the slots: what a fixed split of a model gives.
layer_placement place_static(uint32_t experts, const layer_rig & rig);

// Greedy balanced packing (EPLB): the copies with the highest load per copy first, each to the device with the least load for its
// speed that has a slot left and not yet that expert. `counts` [experts] as replica_counts_* gives them. Slots that are left when
// no copy fits are filled with the busiest experts.
layer_placement place_packed(const std::vector<double> & loads, const std::vector<uint32_t> & counts, const layer_rig & rig);

// `placement` changed to `counts` [experts] copies of each expert with as few new copies as that takes: those that are too many leave the
// busiest devices, those that lack go to the least busy ones with a free slot.
layer_placement place_recounted(layer_placement placement, const std::vector<double> & loads, const std::vector<uint32_t> & counts, const layer_rig & rig,
                                const tokens_in_common & common = {});

// Mean over `samples` ([sample][experts]: loads of recent batches) of the time that a batch takes, over that of a perfect balance.
double imbalance(const std::vector<std::vector<double>> & samples, const layer_placement & placement, const layer_rig & rig);

// Improves a placement for batches like `samples`: while it helps, the devices that are the bottleneck of a batch (split_makespan)
// give an expert that only they have to another device, in place of a copy that another one can do without.
// steps: copies that move at most.
layer_placement place_improved(layer_placement placement, const std::vector<std::vector<double>> & samples, const layer_rig & rig, uint32_t steps,
                               const tokens_in_common & common = {});

// From one placement towards another by at most `most` new copies, those of the busiest experts first.
layer_placement place_towards(const layer_placement & from, const layer_placement & to, const std::vector<double> & loads, const layer_rig & rig, uint32_t most);

// Copies in `to` that are not in `from`.
uint32_t copies_to_move(const layer_placement & from, const layer_placement & to);

}  // namespace moebius
