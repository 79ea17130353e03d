// The order of a layout file from recorded routing.
#pragma once

#include "experts/simulate/trace.h"
#include "layout-writer.h"

namespace moebius {

struct layout_gain {
    uint64_t tokens = 0;           // of the recording's second half, which the order for it knows nothing of
    double   chosen = 0;           // experts per token and layer
    double   pieces_by_index = 0;  // in which they lie in the order of their numbers: reads per token and layer, if none is in RAM
    double   pieces          = 0;  // in the order learnt from the first half
};

// From the whole recording. Throws request.invalid if it is of a model with other layers or experts.
layout_orders layout_orders_from(const expert_layout & layout, const routing_trace & trace);

// What such an order is worth on text that it has not seen.
layout_gain layout_gain_of(const expert_layout & layout, const routing_trace & trace);

}  // namespace moebius
