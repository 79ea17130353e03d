// Who computes which tokens of a layer's experts: the devices that have copies, and the CPU. Pure.
#pragma once

#include "cost-model.h"
#include "token-split.h"

#include <optional>

namespace moebius {

// A layer's batch, and what can compute it.
struct layer_work {
    std::vector<uint32_t>   tokens;     // [experts], 0 where an expert is not used
    layer_placement         placement;  // [experts], the devices that hold a copy, possibly none
    std::vector<bool>       in_ram;     // [experts], those that the CPU need not read from disk first
    std::vector<batch_cost> devices;    // with copies that they hold
    batch_cost              cpu;
    bool                    cpu_helps = true;  // also with experts that devices hold
    std::vector<std::optional<batch_cost>> fetching;  // [devices], with experts that are fetched from RAM first; empty: none does
    std::vector<double>     links;             // [devices], as layer_rig has them; empty: all the same
};

// As token_share. A `device` equal to the number of devices is the CPU, one that is larger by 1 + d is device d with an expert that it fetches.
//
// Experts without a copy are the CPU's. The tokens of the others are split over their copies, so that the last device ends as early as it can.
// Then, as in HybriMoE (arXiv 2504.05897), the CPU takes experts that it has over from the device that ends last, those with the fewest
// tokens first, for as long as that lets the layer end earlier; and devices fetch experts that the CPU would compute, those with the most tokens
// first, for as long as they end before the CPU would have. Then whole shares move away from who ends last while that helps; and at last tokens from devices behind slow links
// to other copies, as far as the layer ends no later (prefer_links).
std::vector<token_share> schedule_layer(const layer_work & work);

}  // namespace moebius
