// Which device computes which of a batch's assignments of tokens to experts, and each device's part of them by itself. Pure.
#pragma once

#include "experts/policy/token-split.h"
#include "train/graph/expert-groups.h"

namespace moebius {

// Ids of a batch: [tokens][per_token] experts, -1: nobody.
struct batch_routes {
    const std::vector<int32_t> & ids;
    const expert_groups &        groups;  // of them
};

struct expert_share {
    std::vector<int32_t> tokens;       // of the batch, ascending
    expert_groups        groups;       // these tokens and the device's slots, in place of experts
    std::vector<int32_t> assignments;  // [groups' assignments], of the batch's groups
};

// placement: [experts]; speeds: [devices], load per unit of time; slots_of: [devices][experts], -1: not there; slots: [devices].
// Tokens of an expert with several copies are split so that the last device ends as early as it can (split_tokens, assign_tokens).
std::vector<expert_share> share_assignments(const batch_routes & routes, const layer_placement & placement, const std::vector<double> & speeds,
                                            const std::vector<const std::vector<int32_t> *> & slots_of, const std::vector<int64_t> & slots);

}  // namespace moebius
