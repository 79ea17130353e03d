// Policies that know what a trace brings next: bounds that no engine reaches.
#pragma once

#include "replay-batches.h"

namespace moebius {

// Batches ahead that the policy knows of; what lies beyond is ranked as "lrfu" ranks it.
constexpr uint32_t whole_future = UINT32_MAX;

// With whole_future Belady's MIN (IBM Systems Journal 5(2), 1966): the resident whose next use is farthest leaves. Fewest misses of all
// that read on demand. used() must be called for exactly the batches of `batches`, in their order, except where a layer was not computed.
// `batches` must outlive it.
class future_policy : public cache_policy {
  public:
    future_policy(const replay_batches & batches, const expert_cache_shape & shape, uint32_t horizon);

    void   used(uint32_t layer, const std::vector<expert_use> & uses) override;
    double keep_value(expert_ref expert) const override;

  private:
    size_t at(expert_ref expert) const { return size_t(expert.layer) * source.experts() + expert.expert; }

    const replay_batches &        source;
    uint32_t                      horizon;
    std::unique_ptr<cache_policy> beyond;   // null with whole_future
    std::vector<uint32_t>         visits;   // [layer] calls of used()
    std::vector<uint32_t>         batch_of; // [layer] batch that the next call stands for
    std::vector<uint32_t>         following;  // [use of `source`] visit of the layer that uses the expert next, UINT32_MAX: none
    std::vector<uint32_t>         next;     // [layer][expert] the same as of now
};

// "belady", "lookahead-N" with 1 <= N <= 1000, or a name of cache_policy_names(); nullptr: no such policy.
std::unique_ptr<cache_policy> replay_policy_make(const std::string & name, const replay_batches & batches, const expert_cache_shape & shape);

// Whether replay_policy_make knows the name.
bool replay_policy_exists(const std::string & name);

}  // namespace moebius
