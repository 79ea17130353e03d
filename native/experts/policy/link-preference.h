// Tokens of experts with several copies go over the cheaper link where that costs no time. Pure.
#pragma once

#include "cost-model.h"
#include "token-split.h"

namespace moebius {

// `shares` with tokens moved from devices to copies on devices whose link takes less than half the time (more than measurements of equal ones differ by), as far as those end by
// `limit`, in seconds: the end of the layer. Shares of others than devices stay.
// costs, links: [devices], the latter as layer_rig has them; empty: nothing changes.
std::vector<token_share> prefer_links(std::vector<token_share> shares, const layer_placement & placement, const std::vector<batch_cost> & costs, const std::vector<double> & links, double limit);

}  // namespace moebius
