#include "future-policy.h"

#include <algorithm>
#include <optional>

namespace moebius {

namespace {

constexpr uint32_t never = UINT32_MAX;

std::optional<uint32_t> horizon_of(const std::string & name) {
    const std::string prefix = "lookahead-";
    const std::string digits = name.compare(0, prefix.size(), prefix) == 0 ? name.substr(prefix.size()) : "";
    if (name == "belady") {
        return whole_future;
    }
    if (digits.empty() || digits.size() > 4 || digits[0] == '0' || !std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; })) {
        return std::nullopt;
    }
    const uint32_t horizon = uint32_t(std::stoul(digits));
    return horizon <= 1000 ? std::optional<uint32_t>(horizon) : std::nullopt;
}

}  // namespace

future_policy::future_policy(const replay_batches & batches, const expert_cache_shape & shape, uint32_t horizon)
    : source(batches),
      horizon(horizon),
      beyond(horizon == whole_future ? nullptr : cache_policy_make("lrfu", shape)),
      visits(batches.layers(), 0),
      batch_of(batches.layers(), 0),
      following(batches.use_count(), never),
      next(size_t(batches.layers()) * batches.experts(), never) {
    for (uint32_t layer = 0; layer < batches.layers(); layer++) {
        uint32_t visit = 0;
        for (uint32_t batch = 0; batch < batches.count(); batch++) {
            visit += batches.begin(batch, layer) != batches.end(batch, layer);
        }
        for (uint32_t batch = batches.count(); batch-- > 0;) {
            const expert_use * const first = batches.begin(batch, layer);
            const expert_use * const last  = batches.end(batch, layer);
            visit -= first != last;
            for (const expert_use * use = first; use != last; use++) {
                uint32_t & soonest = next[at({ layer, use->expert })];
                following[batches.index(batch, layer) + size_t(use - first)] = soonest;
                soonest = visit;
            }
        }
    }
}

void future_policy::used(uint32_t layer, const std::vector<expert_use> & uses) {
    uint32_t & batch = batch_of[layer];
    while (source.begin(batch, layer) == source.end(batch, layer)) {
        batch++;
    }
    const size_t index = source.index(batch, layer);
    const size_t count = size_t(source.end(batch, layer) - source.begin(batch, layer));
    for (size_t i = 0; i < count; i++) {
        next[at({ layer, source.begin(batch, layer)[i].expert })] = following[index + i];
    }
    batch++;
    visits[layer]++;
    if (beyond) {
        beyond->used(layer, uses);
    }
}

double future_policy::keep_value(expert_ref expert) const {
    const uint32_t soonest = next[at(expert)];
    if (!beyond) {
        return -double(soonest);
    }
    const bool known = soonest != never && soonest - visits[expert.layer] < horizon;
    // what lies beyond is worth a decayed count of at most 1 / (1 - 0.95): any known use is worth more
    return known ? 1e9 - double(soonest) : beyond->keep_value(expert);
}

std::unique_ptr<cache_policy> replay_policy_make(const std::string & name, const replay_batches & batches, const expert_cache_shape & shape) {
    if (const auto horizon = horizon_of(name)) {
        return std::make_unique<future_policy>(batches, shape, *horizon);
    }
    return cache_policy_make(name, shape);
}

bool replay_policy_exists(const std::string & name) {
    const std::vector<std::string> & names = cache_policy_names();
    return horizon_of(name).has_value() || std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace moebius
