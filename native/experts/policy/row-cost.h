// What a copy costs on the links: the rows (hidden states there, sums back) that are sent to a device for its sake alone. Decides between devices that are equally good otherwise. Pure.
#pragma once

#include "layer-rig.h"

#include <functional>

namespace moebius {

// Share (0 to 1) of the tokens of expert `a` that `b` works for, too (expert_affinity). Empty: not known.
using tokens_in_common = std::function<double(uint32_t a, uint32_t b)>;

class row_cost {
  public:
    // loads: [experts]. Both outlive it, and so does `rig`. Without links or tokens in common, it knows nothing of them.
    row_cost(const std::vector<double> & loads, const layer_rig & rig, const tokens_in_common & common) : loads(loads), rig(rig), common(common) {}

    // Without it, all devices are the same.
    bool matters() const { return common || !rig.links.empty(); }

    // Of a copy of `expert` on `device`, there or yet to come, besides what is placed there: load per copy, times the share of its tokens that are not sent there
    // anyway, times the link. That share is exp(-n), if n of a token's other experts are expected to be computed there and do not know of each other (Poisson).
    // Tokens of experts with several copies are taken to be spread evenly.
    double of(uint32_t expert, uint32_t device, const layer_placement & placement) const;

  private:
    const std::vector<double> & loads;
    const layer_rig &           rig;
    const tokens_in_common &    common;
};

}  // namespace moebius
