#include "layer-rig.h"

#include "rpc/errors.h"

#include <algorithm>
#include <numeric>

namespace moebius {

uint32_t layer_rig::total_slots() const {
    return std::accumulate(slots.begin(), slots.end(), 0u);
}

void check_rig(const layer_rig & rig, uint32_t experts) {
    const bool good = !rig.speeds.empty() && rig.speeds.size() <= devices_most && rig.slots.size() == rig.speeds.size() &&
                      (rig.links.empty() || rig.links.size() == rig.speeds.size()) &&
                      std::all_of(rig.speeds.begin(), rig.speeds.end(), [](double speed) { return speed > 0; }) &&
                      std::all_of(rig.links.begin(), rig.links.end(), [](double seconds) { return seconds >= 0; });
    if (!good) {
        throw user_error("request.invalid", "A rig has 1 to " + std::to_string(devices_most) + " devices, each with a speed above 0, a number of slots and a link.",
                         { { "devices", rig.speeds.size() } });
    }
    uint64_t useful = 0;
    for (const uint32_t slots : rig.slots) {
        useful += std::min(slots, experts);
    }
    if (useful < experts) {
        throw user_error("request.invalid", "The devices have " + std::to_string(useful) + " slots a layer, and there are " + std::to_string(experts) +
                                                " experts: every expert needs one. Give each device at least " +
                                                std::to_string((experts + rig.devices() - 1) / rig.devices()) + ".",
                         { { "need", experts }, { "have", useful } });
    }
}

}  // namespace moebius
