// Which resident expert is worth least when a slot is needed. Pure: no I/O, no clock, no threads; the engine's store and the
// simulator call the same code.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace moebius {

// MoE layers are counted from 0 without the dense ones between them (rows of router_shape).
struct expert_ref {
    uint32_t layer  = 0;
    uint32_t expert = 0;
};

// One expert that a batch uses in a layer.
struct expert_use {
    uint32_t expert = 0;
    uint32_t tokens = 0;     // tokens of the batch that chose it
    float    weight = 0.0f;  // sum of their gate weights
};

struct expert_cache_shape {
    uint32_t              layers  = 0;
    uint32_t              experts = 0;  // per layer
    std::vector<uint32_t> slots;        // [layers], each at most `experts`
};

// What a policy expects of the next batch in a layer.
struct foreseen_use {
    uint32_t expert      = 0;
    double   probability = 0.0;  // that the batch uses it, 0..1
};

class cache_policy {
  public:
    virtual ~cache_policy() = default;

    // The routing of `layer` for the batch that now runs; layers come in ascending order, then the next batch begins at a lower one.
    // `uses`: distinct experts.
    virtual void used(uint32_t layer, const std::vector<expert_use> & uses) = 0;

    // Higher = keep longer. Compared among residents of one layer or of several; equal values: the lower layer, then the lower expert leaves.
    virtual double keep_value(expert_ref expert) const = 0;

    // Called before the next batch reaches `layer`, with all layers below told: what it will probably use there, most probable first.
    // Until used() is called for the layer, its keep_values are on the scale of these probabilities. Empty: the policy foresees nothing.
    virtual std::vector<foreseen_use> foresee(uint32_t layer) {
        (void) layer;
        return {};
    }
};

// "lru", "lfu", "lfru", "score", "least-stale", "lrfu", "foresight"; nullptr: no such policy.
std::unique_ptr<cache_policy> cache_policy_make(const std::string & name, const expert_cache_shape & shape);

// Names in the order above.
const std::vector<std::string> & cache_policy_names();

}  // namespace moebius
