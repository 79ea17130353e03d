// The devices as one layer of a model sees them. Pure.
#pragma once

#include "token-split.h"

namespace moebius {

struct layer_rig {
    std::vector<double>   speeds;   // [devices], load per unit of time
    std::vector<uint32_t> slots;    // [devices], experts that have room
    std::vector<double>   links{};  // [devices], seconds (or another unit) that the row of one token takes there and back; empty: all the same

    uint32_t devices() const { return uint32_t(speeds.size()); }
    uint32_t total_slots() const;
};

// Throws request.invalid: no device or too many, a speed that is not above 0, links of other devices or below 0, fewer slots than `experts` in all.
void check_rig(const layer_rig & rig, uint32_t experts);

}  // namespace moebius
