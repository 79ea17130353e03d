#include "miss-substitutes.h"

#include <algorithm>
#include <numeric>

namespace moebius {

std::vector<double> expert_unimportance(const std::vector<int32_t> & ids, const std::vector<float> & weights, int64_t used) {
    std::vector<double> result(ids.size(), 0.0);
    std::vector<size_t> order(static_cast<size_t>(used));
    for (size_t first = 0; first < ids.size(); first += size_t(used)) {
        const auto weight = [&](size_t i) { return ids[i] < 0 ? 0.0 : double(weights[i]); };
        std::iota(order.begin(), order.end(), first);
        std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return weight(a) > weight(b); });
        double total = 0.0, above = 0.0;
        for (const size_t i : order) {
            total += weight(i);
        }
        for (const size_t i : order) {
            result[i] = ids[i] < 0 || total <= 0.0 ? 0.0 : above / total;
            above += weight(i);
        }
    }
    return result;
}

std::vector<expert_precision> substitute_misses(const std::vector<int32_t> & ids, const std::vector<float> & weights, int64_t used, const std::vector<bool> & at_hand,
                                                const miss_thresholds & thresholds) {
    std::vector<expert_precision> how(ids.size(), expert_precision::full);
    const auto is_missing = [&](int32_t id) { return id >= 0 && !at_hand[size_t(id)]; };
    if (std::none_of(ids.begin(), ids.end(), is_missing)) {
        return how;
    }
    const std::vector<double>     unimportance = expert_unimportance(ids, weights, used);
    std::vector<expert_precision> best(at_hand.size(), expert_precision::skipped);  // that any token asks for
    for (size_t i = 0; i < ids.size(); i++) {
        if (is_missing(ids[i])) {
            const expert_precision own = unimportance[i] > thresholds.skip ? expert_precision::skipped :
                                         unimportance[i] > thresholds.low  ? expert_precision::low :
                                                                             expert_precision::full;
            best[size_t(ids[i])] = std::min(best[size_t(ids[i])], own);
        }
    }
    for (size_t i = 0; i < ids.size(); i++) {
        if (is_missing(ids[i])) {
            how[i] = best[size_t(ids[i])];
        }
    }
    return how;
}

void skip_experts(std::vector<int32_t> & ids, std::vector<float> & weights, int64_t used, const std::vector<expert_precision> & how) {
    for (size_t first = 0; first < ids.size(); first += size_t(used)) {
        double before = 0.0, after = 0.0;
        for (size_t i = first; i < first + size_t(used); i++) {
            before += ids[i] < 0 ? 0.0 : double(weights[i]);
            if (how[i] == expert_precision::skipped) {
                ids[i]     = -1;
                weights[i] = 0.0f;
            }
            after += ids[i] < 0 ? 0.0 : double(weights[i]);
        }
        for (size_t i = first; i < first + size_t(used) && after > 0.0 && after != before; i++) {
            weights[i] = float(double(weights[i]) * (before / after));
        }
    }
}

}  // namespace moebius
