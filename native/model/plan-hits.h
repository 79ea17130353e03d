// How often a token finds its experts in the slots that a plan has for them.
#pragma once

#include "experts/simulate/cache-replay.h"
#include "experts/store/expert-layout.h"
#include "rpc/errors.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace moebius {

// From a trace of the model's own routing, through the cache policy that it will be loaded with; without one, a guess.
class hit_rates {
  public:
    // path: of a trace, or empty. Throws what trace_read does, and request.invalid when it is of a model of another shape.
    hit_rates(const std::string & path, const expert_layout & layout, const std::string & policy, std::function<void()> check);

    bool from_trace() const { return batches != nullptr; }

    // [layers] of the uses by single tokens behind a prompt, with so many slots. All experts: 1.
    std::vector<double> of(const std::vector<uint32_t> & slots) const;

    // Of a batch of a prompt in a layer, against one whose tokens use all experts alike and find those that have slots.
    struct prompt_use {
        double distinct = 1;  // experts that it uses, over those that the other would
        double missing  = 0;  // share of them that has to be read
    };
    // [layers] with so many slots. Without prompts in the trace: as that other batch.
    std::vector<prompt_use> prompts(const std::vector<uint32_t> & slots) const;

    // SRP and SCH with a recommended number of slots (an object of PlanResult), null without a trace.
    json suitability() const;

  private:
    replay_result replay_with(const std::vector<uint32_t> & slots) const;

    uint32_t                        experts;
    std::string                     policy;
    std::function<void()>           check;
    std::unique_ptr<routing_trace>  trace;
    std::unique_ptr<replay_batches> batches;
};

}  // namespace moebius
