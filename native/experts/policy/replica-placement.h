// Where the copies of a layer's experts go: at least one of each, as many on a device as it has slots, none twice on one. Pure.
#pragma once

#include "row-cost.h"

namespace moebius {

// One copy each, neighbours together, as many on a device as its share of the slots: what a fixed split of a model gives.
layer_placement place_static(uint32_t experts, const layer_rig & rig);

// Greedy balanced packing (EPLB): the copies with the highest load per copy first, each to the device with the least load for its
// speed that has a slot left and not yet that expert. `counts` [experts] as replica_counts_* gives them. Slots that are left when
// no copy fits are filled with the busiest experts.
layer_placement place_packed(const std::vector<double> & loads, const std::vector<uint32_t> & counts, const layer_rig & rig);

// `placement` changed to `counts` [experts] copies of each expert with as few new copies as that takes: those that are too many leave the
// busiest devices, those that lack go to the least busy ones with a free slot. Of devices that are equally good, within 0.2% of the mean
// time of a device, that one gets a copy where it costs the fewest rows (row_cost), or loses one where that saves the most.
layer_placement place_recounted(layer_placement placement, const std::vector<double> & loads, const std::vector<uint32_t> & counts, const layer_rig & rig,
                                const tokens_in_common & common = {});

}  // namespace moebius
