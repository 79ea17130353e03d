// Which device computes which tokens of an expert that has several copies. Pure.
//
// A layer's tokens can all be computed within time T exactly if for every set of devices those tokens that only these can compute
// are no more than they manage (Hall's theorem). There are at most 8 devices, so all sets are looked at.
#pragma once

#include <cstdint>
#include <vector>

namespace moebius {

constexpr uint32_t devices_most = 8;

// A bit for each device.
using device_set = uint32_t;

uint32_t copies_of(device_set devices);

inline bool has(device_set devices, uint32_t device) {
    return devices >> device & 1;
}

// Copies of each expert of one layer: [experts], none empty.
using layer_placement = std::vector<device_set>;

// Least time in which `loads` [experts] can be computed if tokens are split at will over the copies. speeds: [devices], load per
// unit of time, above 0. `tight`, if given, gets a set of devices that cannot be quicker.
double split_makespan(const std::vector<double> & loads, const layer_placement & placement, const std::vector<double> & speeds, device_set * tight = nullptr);

struct token_share {
    uint32_t expert = 0;
    uint32_t device = 0;
    uint32_t tokens = 0;
};

// Splits the tokens of every expert [experts] over its copies so that the last device ends as early as it can with whole tokens, then
// the last but one, and so on: the slowest set of devices gets what only it can compute and no more, the others share the rest in
// the same way. But for rounding, this is the lexicographically optimal base of Fujishige (1980), which also loses the fewest tokens under any
// capacity per device.
std::vector<token_share> split_tokens(const std::vector<uint32_t> & tokens, const layer_placement & placement, const std::vector<double> & speeds);

}  // namespace moebius
