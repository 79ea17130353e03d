// `experts.choose`: which policy and which slots a model's own recorded routing speaks for, as JSON (main/engine/protocol.ts describes both sides).
#pragma once

#include "replay-sweep.h"

namespace moebius {

struct choice_settings {
    uint64_t    budget       = 0;       // slots of all layers
    uint32_t    prompt_batch = 512;
    std::string policy       = "auto";  // or a name of cache_policy_names()
    std::string allocation   = "auto";  // or a name of allocation_names()
    // Called often; throws to stop. May be empty.
    std::function<void()> check;
};

struct cache_choice {
    std::string                policy;
    std::string                allocation;
    std::vector<uint32_t>      slots;     // [layer]
    replay_figures             figures;   // of the choice, on the newer half of the trace's sequences
    replay_figures             uniform;   // the same with as many slots in every layer
    std::vector<policy_choice> tried;     // policies on the whole trace, as many slots in every layer
};

// The policy is the one with the fewest reads on the whole trace; of equal ones "lru", then the first. Allocations are judged on other
// routing than they were made from: "marginal" shares out by the older half of the sequences, and the newer half decides. An allocation other
// than "uniform" has to save 1% of the reads, as the saving has to last. With one sequence "auto" is "uniform".
cache_choice choose_cache(const routing_trace & trace, const choice_settings & settings);

// Throws request.invalid, what trace_read throws and what `check` throws.
json choice_report(const json & params, const std::function<void()> & check);

}  // namespace moebius
