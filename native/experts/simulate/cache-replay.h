// What the expert cache would have done with a recorded trace: the policy and the slots are those of the engine (experts/policy).
#pragma once

#include "experts/policy/slot-cache.h"
#include "replay-batches.h"

#include <functional>

namespace moebius {

struct replay_settings {
    std::vector<uint32_t> slots;            // [layer], 1 .. experts each
    std::string           policy = "lru";   // see replay_policy_make
    read_ahead            ahead;
    // Called between batches; throws to stop the replay. May be empty.
    std::function<void()> check;
};

// A use is one expert in one layer by one batch, however many of its tokens chose it; as expert_store_counters count.
struct replay_figures {
    uint64_t uses       = 0;
    uint64_t hits       = 0;  // resident when the batch reached the layer, reads ahead included: they are taken to have arrived
    uint64_t misses     = 0;
    uint64_t prefetched = 0;  // experts read ahead
    uint64_t useful     = 0;  // of those, used by the batch that they were read for

    uint64_t reads() const { return misses + prefetched; }
    double   hit_rate() const { return uses == 0 ? 0.0 : double(hits) / double(uses); }
};

struct replay_result {
    replay_figures              all;
    std::vector<replay_figures> layers;
    std::vector<replay_figures> replies;  // [layer] of them, in batches of one token behind a prompt
    uint64_t                    tokens = 0;

    // Read from disk, or moved to the device, per token.
    double bytes_per_token(double bytes_per_expert) const { return tokens == 0 ? 0.0 : double(all.reads()) * bytes_per_expert / double(tokens); }
};

// As expert_store::fill, experts 0, 1, ... are in the slots at the start. As expert_store::begin, a batch's experts that are there are
// pinned while it is in the layer, the others take slots as they become free; where a batch uses more experts than there are
// slots, they pass through them, each freed as soon as it is computed. Policies that know the future then choose freely who stays, so
// that "belady" is a lower bound on the misses of any cache. Throws request.invalid for slots or a policy that cannot be.
replay_result replay(const replay_batches & batches, const replay_settings & settings);

// The same number of slots in every layer, clamped to 1 .. experts.
std::vector<uint32_t> replay_slots(const replay_batches & batches, uint32_t slots);

}  // namespace moebius
