#include "cache-policy.h"

#include "foresight-policy.h"

#include <cmath>

namespace moebius {

namespace {

// Batches of each layer are its clock: all of a layer's experts age by one with each.
struct history {
    double   frequency = 0.0;  // uses, one per batch
    double   mass      = 0.0;  // decayed gate weight, as of `last`
    double   recent    = 0.0;  // decayed uses, as of `last`
    uint64_t last      = 0;    // batch of the last use, 0: never
};

class recorded_policy : public cache_policy {
  public:
    explicit recorded_policy(const expert_cache_shape & shape) : experts(shape.experts), clock(shape.layers, 0), past(size_t(shape.layers) * shape.experts) {}

    void used(uint32_t layer, const std::vector<expert_use> & uses) override {
        const uint64_t now = ++clock[layer];
        for (const expert_use & use : uses) {
            history & own = past[size_t(layer) * experts + use.expert];
            own.mass      = own.mass * std::pow(mass_decay, double(now - own.last)) + double(use.weight);
            own.recent    = own.recent * std::pow(lrfu_decay, double(now - own.last)) + 1.0;
            own.frequency += 1.0;
            own.last = now;
        }
    }

  protected:
    static constexpr double mass_decay = 0.97;  // per batch
    // per batch; on recorded traces 0.9 .. 0.97 differ by less than a point of hit rate, and fall off outside
    static constexpr double lrfu_decay = 0.95;

    const history & of(expert_ref expert) const { return past[size_t(expert.layer) * experts + expert.expert]; }
    uint64_t        now(uint32_t layer) const { return clock[layer]; }
    double          age(expert_ref expert) const { return double(now(expert.layer) - of(expert).last); }

  private:
    uint32_t              experts;
    std::vector<uint64_t> clock;  // [layer]
    std::vector<history>  past;   // [layer][expert]
};

class lru_policy : public recorded_policy {
  public:
    using recorded_policy::recorded_policy;
    double keep_value(expert_ref expert) const override { return -age(expert); }
};

class lfu_policy : public recorded_policy {
  public:
    using recorded_policy::recorded_policy;
    double keep_value(expert_ref expert) const override { return of(expert).frequency; }
};

// Frequency over the time since the last use (LFRU): among equally frequent ones the stale one leaves.
class lfru_policy : public recorded_policy {
  public:
    using recorded_policy::recorded_policy;
    double keep_value(expert_ref expert) const override { return of(expert).frequency / (age(expert) + 1.0); }
};

// Decayed sum of gate weights (HybriMoE's score).
class score_policy : public recorded_policy {
  public:
    using recorded_policy::recorded_policy;
    double keep_value(expert_ref expert) const override { return of(expert).mass * std::pow(mass_decay, age(expert)); }
};

// What the running batch brought is fresh, anything older is stale (SpecMD's least-stale): stale ones leave first, the longest unused
// and, of those, the least frequent; fresh ones in the order of their frequency.
class least_stale_policy : public recorded_policy {
  public:
    using recorded_policy::recorded_policy;
    double keep_value(expert_ref expert) const override {
        const double share = of(expert).frequency / (double(now(expert.layer)) + 1.0);  // < 1
        return share - age(expert);
    }
};

// Decayed number of uses: LRFU's "combined recency and frequency" (Lee et al., IEEE Trans. Computers 50(12), 2001), lambda = -log2(0.95).
// Unlike "score" it does not care how strongly the gate chose: a weak choice costs as many bytes as a strong one.
class lrfu_policy : public recorded_policy {
  public:
    using recorded_policy::recorded_policy;
    double keep_value(expert_ref expert) const override { return of(expert).recent * std::pow(lrfu_decay, age(expert)); }
};

struct named_policy {
    const char * name;
    std::unique_ptr<cache_policy> (*make)(const expert_cache_shape & shape);
};

template <typename Policy> std::unique_ptr<cache_policy> make(const expert_cache_shape & shape) {
    return std::make_unique<Policy>(shape);
}

constexpr named_policy policies[] = {
    { "lru", make<lru_policy> },     { "lfu", make<lfu_policy> },
    { "lfru", make<lfru_policy> },   { "score", make<score_policy> },
    { "least-stale", make<least_stale_policy> }, { "lrfu", make<lrfu_policy> },
    { "foresight", make<foresight_policy> },
};

}  // namespace

std::unique_ptr<cache_policy> cache_policy_make(const std::string & name, const expert_cache_shape & shape) {
    for (const named_policy & policy : policies) {
        if (name == policy.name) {
            return policy.make(shape);
        }
    }
    return nullptr;
}

const std::vector<std::string> & cache_policy_names() {
    static const std::vector<std::string> names = [] {
        std::vector<std::string> result;
        for (const named_policy & policy : policies) {
            result.push_back(policy.name);
        }
        return result;
    }();
    return names;
}

}  // namespace moebius
