// Ways to place a layer's experts on devices, window by window: ours, and those that it is measured against.
#pragma once

#include "experts/policy/replica-placement.h"
#include "experts/policy/token-assignment.h"

#include <memory>
#include <string>

namespace moebius {

class rebalancer {
  public:
    virtual ~rebalancer() = default;

    virtual const layer_placement & placement() const = 0;
    // Whether tokens are split so that the slowest device ends first (split_tokens); else evenly over the copies.
    virtual bool balances_tokens() const { return false; }
    // Whether it is chosen which tokens of an expert go to which copy (assign_tokens); else in their order.
    virtual bool keeps_together() const { return false; }
    virtual void observe(const std::vector<uint32_t> & tokens, const token_routes & routes) = 0;  // [experts], of one batch
    // The end of a window. Gives the copies that were made.
    virtual uint32_t end_window() = 0;
};

// "static": neighbours together, no copies. "eplb": DeepSeek's EPLB, anew from the loads of each window; "eplb-split": with our split
// of tokens. "flexmoe": expand and shrink
// by the balance ratio (FlexMoE, arXiv 2304.03946). "swiftmoe": counts in proportion to the last window, packed anew. "adaptive": ours
// (replica_controller, split_tokens and assign_tokens); "adaptive-apart": the same without regard to which experts work for the same tokens. nullptr: no such name.
std::unique_ptr<rebalancer> rebalancer_make(const std::string & name, uint32_t experts, const layer_rig & rig);

const std::vector<std::string> & rebalancer_names();

}  // namespace moebius
