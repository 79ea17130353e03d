// The tokens of a batch in one layer, and the experts that each is for.
#pragma once

#include <cstdint>
#include <vector>

namespace moebius {

// ids and weights: [tokens][used], packed. An id of -1 is computed elsewhere and counts as nothing.
struct expert_batch {
    uint32_t             layer  = 0;  // of the layout
    int64_t              tokens = 0;
    int64_t              used   = 0;
    std::vector<int32_t> ids;
    std::vector<float>   weights;
};

}  // namespace moebius
