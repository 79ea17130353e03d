// From one placement to another, a few copies at a time. Pure.
#pragma once

#include "layer-rig.h"

namespace moebius {

// From one placement towards another by at most `most` new copies, those of the busiest experts first; every expert has a copy in what results if it has one in both.
// Where there is no spare slot experts change places, two or more of them at once, or not at all; how they do that without a slot, layer_copies says.
layer_placement place_towards(const layer_placement & from, const layer_placement & to, const std::vector<double> & loads, const layer_rig & rig, uint32_t most);

// Copies in `to` that are not in `from`.
uint32_t copies_to_move(const layer_placement & from, const layer_placement & to);

}  // namespace moebius
