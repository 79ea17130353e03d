// Ways to place a layer's experts on devices, window by window: ours, and those that it is measured against.
#pragma once

#include "experts/policy/layer-rig.h"
#include "experts/policy/token-assignment.h"

#include <memory>
#include <string>

namespace moebius {

// What "replicate-quantize" may do.
struct low_precision_share {
    double bytes = 0.53;  // of an expert in low precision, as a share of its bytes: q4_0 for q8_0
    double most  = 0.25;  // share of the experts that may be in low precision
};

class rebalancer {
  public:
    virtual ~rebalancer() = default;

    virtual const layer_placement & placement() const = 0;
    // Whether tokens are split so that the slowest device ends first (split_tokens); else evenly over the copies.
    virtual bool balances_tokens() const { return false; }
    // Whether it is chosen which tokens of an expert go to which copy (assign_tokens); else in their order.
    virtual bool keeps_together() const { return false; }
    // Whether links decide between what is equally good otherwise (prefer_links, assign_tokens).
    virtual bool prefers_links() const { return false; }
    // Experts [experts] that are computed in low precision; empty: none.
    virtual std::vector<bool> low() const { return {}; }
    // Of one batch. importance: [experts], as load_batch; empty: not known.
    virtual void observe(const std::vector<uint32_t> & tokens, const token_routes & routes, const std::vector<double> & importance) = 0;
    // The end of a window. Gives the copies that were made.
    virtual uint32_t end_window() = 0;
};

// "static": neighbours together, no copies. "eplb": DeepSeek's EPLB, anew from the loads of each window; "eplb-split": with our split
// of tokens. "flexmoe": expand and shrink
// by the balance ratio (FlexMoE, arXiv 2304.03946). "swiftmoe": counts in proportion to the last window, packed anew. "adaptive": ours
// (replica_controller, split_tokens and assign_tokens); "adaptive-apart": the same without regard to which experts work for the same tokens; "adaptive-anywhere": without
// regard to links. "replicate-quantize": ours
// with the least important experts in fewer bits and more copies of others for the same bytes (plan_precision); lossy. nullptr: no such name.
std::unique_ptr<rebalancer> rebalancer_make(const std::string & name, uint32_t experts, const layer_rig & rig, const low_precision_share & low = {});

const std::vector<std::string> & rebalancer_names();

}  // namespace moebius
