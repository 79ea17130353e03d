#include "expert-shares.h"

#include "experts/policy/token-assignment.h"

#include <algorithm>

namespace moebius {

namespace {

std::vector<uint32_t> tokens_by_expert(const expert_groups & groups) {
    std::vector<uint32_t> tokens(size_t(groups.experts), 0);
    for (const expert_groups::group & group : groups.groups) {
        tokens[size_t(group.expert)] = uint32_t(group.count);
    }
    return tokens;
}

expert_share share_of(const batch_routes & routes, uint32_t device, const std::vector<uint32_t> & devices, const std::vector<int32_t> & slot_of, int64_t slots) {
    const int64_t        per_token = routes.groups.per_token, experts = routes.groups.experts;
    std::vector<int32_t> tokens, ids, expert_of(size_t(slots), -1);
    for (int64_t token = 0; token < routes.groups.tokens; token++) {
        std::vector<int32_t> mine(size_t(per_token), -1);
        for (int64_t i = 0; i < per_token; i++) {
            const size_t at = size_t(token * per_token + i);
            if (routes.ids[at] >= 0 && devices[at] == device) {
                mine[size_t(i)]                    = slot_of[size_t(routes.ids[at])];
                expert_of[size_t(mine[size_t(i)])] = routes.ids[at];
            }
        }
        if (std::any_of(mine.begin(), mine.end(), [](int32_t slot) { return slot >= 0; })) {
            tokens.push_back(int32_t(token));
            ids.insert(ids.end(), mine.begin(), mine.end());
        }
    }
    expert_share share{ std::move(tokens), expert_groups(ids, per_token, slots), {} };
    for (const int32_t number : share.groups.at) {  // token * slots + slot
        const int64_t token = share.tokens[size_t(number / slots)], expert = expert_of[size_t(number % slots)];
        share.assignments.push_back(routes.groups.of_number[size_t(token * experts + expert)]);
    }
    return share;
}

}  // namespace

std::vector<expert_share> share_assignments(const batch_routes & routes, const layer_placement & placement, const std::vector<double> & speeds,
                                            const std::vector<const std::vector<int32_t> *> & slots_of, const std::vector<int64_t> & slots) {
    const std::vector<token_share> shares  = split_tokens(tokens_by_expert(routes.groups), placement, speeds);
    const std::vector<uint32_t>    devices = assign_tokens({ routes.ids, uint32_t(routes.groups.per_token) }, shares);
    std::vector<expert_share>      all;
    for (uint32_t device = 0; device < speeds.size(); device++) {
        all.push_back(share_of(routes, device, devices, *slots_of[device], slots[device]));
    }
    return all;
}

}  // namespace moebius
