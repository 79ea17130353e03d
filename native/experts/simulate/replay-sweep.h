// Many replays of one trace: which policy, and how many slots for which layer.
#pragma once

#include "cache-replay.h"
#include "experts/policy/slot-allocation.h"

namespace moebius {

// Numbers of slots worth trying, ascending: from the experts that a token uses to all of a layer, at most 16 of them, in equal ratios.
std::vector<uint32_t> sweep_counts(const replay_batches & batches);

// "uniform", "marginal", "shallow"
const std::vector<std::string> & allocation_names();

// Shares out `budget` slots: at least one for every layer, and two where the budget has them, as expert_slots_for wants. "marginal" replays
// settings.policy at sweep_counts() first. settings.slots is not read. Throws request.invalid for an unknown name.
std::vector<uint32_t> allocate_slots(const replay_batches & batches, const replay_settings & settings, const std::string & name, uint64_t budget);

struct policy_choice {
    std::string   name;
    replay_result result;
};

// Replays every policy of cache_policy_names() and names the one with the highest hit rate; of equal ones that which reads least, then "lru".
// settings.policy is not read.
policy_choice best_policy(const replay_batches & batches, const replay_settings & settings);

}  // namespace moebius
