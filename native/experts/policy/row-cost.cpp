#include "row-cost.h"

#include <cmath>

namespace moebius {

double row_cost::of(uint32_t expert, uint32_t device, const layer_placement & placement) const {
    double there = 0;
    for (uint32_t other = 0; common && other < placement.size(); other++) {
        if (other != expert && has(placement[other], device)) {
            there += common(expert, other) / copies_of(placement[other]);
        }
    }
    const double link = rig.links.empty() ? 1.0 : rig.links[device];
    return loads[expert] / copies_of(placement[expert] | 1u << device) * std::exp(-there) * link;
}

}  // namespace moebius
