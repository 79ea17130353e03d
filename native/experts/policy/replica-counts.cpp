#include "replica-counts.h"

#include <algorithm>
#include <numeric>

namespace moebius {

namespace {

// The expert with the highest score among those that pass; experts.size() if there is none.
template <typename Passes, typename Score> size_t best_of(size_t experts, Passes && passes, Score && score) {
    size_t best = experts;
    for (size_t i = 0; i < experts; i++) {
        if (passes(i) && (best == experts || score(i) > score(best))) {
            best = i;
        }
    }
    return best;
}

}  // namespace

std::vector<uint32_t> replica_counts_proportional(const std::vector<double> & loads, uint32_t slots, uint32_t most) {
    const double          total = std::accumulate(loads.begin(), loads.end(), 0.0);
    const size_t          experts = loads.size();
    std::vector<double>   goals(experts, double(slots) / double(experts));
    std::vector<uint32_t> counts(experts);
    uint32_t              sum = 0;
    for (size_t i = 0; i < experts; i++) {
        goals[i]  = total > 0 ? loads[i] / total * slots : goals[i];
        counts[i] = std::clamp(uint32_t(goals[i]), 1u, most);
        sum += counts[i];
    }
    const auto over = [&](size_t i) { return double(counts[i]) - goals[i]; };
    for (; sum > slots; sum--) {
        counts[best_of(experts, [&](size_t i) { return counts[i] > 1; }, over)]--;
    }
    for (; sum < slots; sum++) {
        const size_t next = best_of(experts, [&](size_t i) { return counts[i] < most; }, [&](size_t i) { return -over(i); });
        if (next == experts) {
            break;
        }
        counts[next]++;
    }
    return counts;
}

std::vector<uint32_t> replica_counts_greedy(const std::vector<double> & loads, uint32_t slots, uint32_t most) {
    std::vector<uint32_t> counts(loads.size(), 1);
    for (size_t sum = loads.size(); sum < slots; sum++) {
        const size_t next = best_of(loads.size(), [&](size_t i) { return counts[i] < most; }, [&](size_t i) { return loads[i] / counts[i]; });
        if (next == loads.size()) {
            break;
        }
        counts[next]++;
    }
    return counts;
}

}  // namespace moebius
