// A placement made more even for the batches that are expected. Pure.
#pragma once

#include "row-cost.h"

namespace moebius {

// Mean over `samples` ([sample][experts]: loads of recent batches) of the time that a batch takes, over that of a perfect balance.
double imbalance(const std::vector<std::vector<double>> & samples, const layer_placement & placement, const layer_rig & rig);

// Improves a placement for batches like `samples`: while it helps, the devices that are the bottleneck of a batch (split_makespan) give an expert that only they have to another device,
// in place of a copy that others can do without; or, where that does not help, of an expert that comes back to them: two change places. What helps most for each copy that moves is
// done; of exchanges that help equally, within 0.2% of the mean time of a device, the one that saves the most rows (row_cost). When nothing helps the bottleneck any more, the
// others are improved in the same way without it: they lose fewer tokens under a capacity, and are ready for batches that are not quite like these.
// steps: copies that move at most; two for experts that change places.
layer_placement place_improved(layer_placement placement, const std::vector<std::vector<double>> & samples, const layer_rig & rig, uint32_t steps,
                               const tokens_in_common & common = {});

}  // namespace moebius
