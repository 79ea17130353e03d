// What a model's router looks like to its observers: rows are MoE layers, columns experts.
#pragma once

#include "rpc/errors.h"

#include <cstdint>
#include <vector>

namespace moebius {

struct router_shape {
    std::vector<int32_t> layers;              // block index of each row, ascending
    uint32_t             expert_count      = 0;
    uint32_t             expert_used_count = 0;  // the most that any layer uses

    uint32_t layer_count() const { return uint32_t(layers.size()); }
    size_t   cell_count() const { return layers.size() * expert_count; }
    bool     empty() const { return layers.empty() || expert_count == 0; }
};

// From the Inspection object of main/engine/protocol.ts: `moeLayers`, `expertCount`, `expertUsedCount`.
router_shape router_shape_from(const json & inspection);

}  // namespace moebius
