// Who computes which tokens of a layer's experts: the devices that have copies, and the CPU. Pure.
#pragma once

#include "cost-model.h"
#include "token-split.h"

namespace moebius {

// As token_share; a `device` equal to the number of devices is the CPU.
// tokens: [experts], 0 where an expert is not used. placement: [experts], the devices that hold a copy, possibly none.
// costs: [devices]. cpu_has: [experts], what it need not read first.
//
// Experts without a copy are the CPU's. The tokens of the others are split over their copies, so that the last device ends as early as it can.
// Then, as in HybriMoE (arXiv 2504.05897), the CPU takes experts that it has over from the device that ends last, those with the fewest
// tokens first, for as long as that lets the layer end earlier.
std::vector<token_share> schedule_layer(const std::vector<uint32_t> & tokens, const layer_placement & placement, const std::vector<batch_cost> & costs, const batch_cost & cpu,
                                        const std::vector<bool> & cpu_has);

}  // namespace moebius
