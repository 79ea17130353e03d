#include "replay-sweep.h"

#include <algorithm>
#include <cmath>

namespace moebius {

namespace {

constexpr uint32_t sweep_points = 16;

std::vector<miss_curve> measured_curves(const replay_batches & batches, replay_settings settings) {
    const std::vector<uint32_t>      counts = sweep_counts(batches);
    std::vector<std::vector<double>> misses(batches.layers());
    for (const uint32_t count : counts) {
        settings.slots             = replay_slots(batches, count);
        const replay_result result = replay(batches, settings);
        for (uint32_t layer = 0; layer < batches.layers(); layer++) {
            misses[layer].push_back(double(result.layers[layer].misses));
        }
    }
    std::vector<miss_curve> curves;
    for (const std::vector<double> & of_layer : misses) {
        curves.push_back(curve_through(counts, of_layer, batches.experts()));
    }
    return curves;
}

bool better(const policy_choice & a, const policy_choice & b) {
    if (a.result.all.hits != b.result.all.hits) {
        return a.result.all.hits > b.result.all.hits;
    }
    if (a.result.all.reads() != b.result.all.reads()) {
        return a.result.all.reads() < b.result.all.reads();
    }
    return a.name == "lru" && b.name != "lru";
}

}  // namespace

std::vector<uint32_t> sweep_counts(const replay_batches & batches) {
    const uint32_t        most  = std::max(batches.experts(), 1u);
    const uint32_t        least = std::clamp(batches.used(), 1u, most);
    std::vector<uint32_t> counts;
    for (uint32_t i = 0; i < sweep_points; i++) {
        const double   part  = double(i) / (sweep_points - 1);
        const uint32_t count = uint32_t(std::round(least * std::pow(double(most) / least, part)));
        if (counts.empty() || count > counts.back()) {
            counts.push_back(count);
        }
    }
    return counts;
}

const std::vector<std::string> & allocation_names() {
    static const std::vector<std::string> names = { "uniform", "marginal", "shallow" };
    return names;
}

std::vector<uint32_t> allocate_slots(const replay_batches & batches, const replay_settings & settings, const std::string & name, uint64_t budget) {
    const uint32_t    least = budget >= 2 * uint64_t(batches.layers()) ? 2 : 1;
    const slot_limits limits{ batches.layers(), batches.experts(), std::min(least, batches.experts()) };
    if (name == "uniform") {
        return slots_uniform(limits, budget);
    }
    if (name == "shallow") {
        return slots_shallow(limits, budget);
    }
    if (name == "marginal") {
        return slots_marginal(limits, budget, measured_curves(batches, settings));
    }
    throw user_error("request.invalid", "There is no allocation '" + name + "'.", { { "allocation", name } });
}

policy_choice best_policy(const replay_batches & batches, const replay_settings & settings) {
    policy_choice best;
    for (const std::string & name : cache_policy_names()) {
        replay_settings own = settings;
        own.policy          = name;
        policy_choice tried{ name, replay(batches, own) };
        if (best.name.empty() || better(tried, best)) {
            best = std::move(tried);
        }
    }
    return best;
}

}  // namespace moebius
