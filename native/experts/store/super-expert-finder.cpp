#include "super-expert-finder.h"

#include <algorithm>

namespace moebius {

void super_expert_finder::saw(uint32_t layer, uint32_t expert, float peak) {
    std::atomic<float> & most = peaks[size_t(layer) * experts + expert];
    float                seen = most.load(std::memory_order_relaxed);
    while (peak > seen && !most.compare_exchange_weak(seen, peak, std::memory_order_relaxed)) {
    }
}

bool super_expert_finder::look() {
    batches++;
    if ((batches & (batches - 1)) != 0) {
        return false;
    }
    std::vector<std::vector<float>> table;
    for (auto row = peaks.begin(); row != peaks.end(); row += ptrdiff_t(experts)) {
        table.emplace_back(row, row + ptrdiff_t(experts));
    }
    if (!enough_peaks(table)) {
        return false;
    }
    std::vector<super_expert> now = find_super_experts(table);
    const auto                same = [](const super_expert & a, const super_expert & b) { return a.expert.layer == b.expert.layer && a.expert.expert == b.expert.expert; };
    const bool changed = !found || !std::equal(now.begin(), now.end(), found->begin(), found->end(), same);
    found              = std::move(now);
    return changed;
}

void super_expert_finder::remember(std::vector<super_expert> earlier) {
    found = std::move(earlier);
}

}  // namespace moebius
