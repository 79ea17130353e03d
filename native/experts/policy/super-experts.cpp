#include "super-experts.h"

#include <algorithm>

namespace moebius {

namespace {

constexpr double percentile    = 0.995;
constexpr double share_of_most = 0.1;
constexpr double massive       = 50.0;  // times the median

std::vector<float> seen_of(const std::vector<std::vector<float>> & peaks) {
    std::vector<float> seen;
    for (const std::vector<float> & layer : peaks) {
        std::copy_if(layer.begin(), layer.end(), std::back_inserter(seen), [](float peak) { return peak > 0.0f; });
    }
    std::sort(seen.begin(), seen.end());
    return seen;
}

// Between the two nearest ranks, straight. `sorted`: not empty.
double quantile(const std::vector<float> & sorted, double part) {
    const double at    = part * double(sorted.size() - 1);
    const size_t below = size_t(at);
    const double above = double(sorted[std::min(below + 1, sorted.size() - 1)]);
    return double(sorted[below]) + (above - double(sorted[below])) * (at - double(below));
}

}  // namespace

bool enough_peaks(const std::vector<std::vector<float>> & peaks) {
    size_t all = 0;
    for (const std::vector<float> & layer : peaks) {
        all += layer.size();
    }
    return all > 0 && 2 * seen_of(peaks).size() >= all;
}

std::vector<super_expert> find_super_experts(const std::vector<std::vector<float>> & peaks) {
    std::vector<super_expert> found;
    if (!enough_peaks(peaks)) {
        return found;
    }
    const std::vector<float> seen  = seen_of(peaks);
    const double             least = std::max({ quantile(seen, percentile), share_of_most * double(seen.back()), massive * quantile(seen, 0.5) });
    for (uint32_t layer = 0; layer < peaks.size(); layer++) {
        for (uint32_t expert = 0; expert < peaks[layer].size(); expert++) {
            if (double(peaks[layer][expert]) > least) {
                found.push_back({ { layer, expert }, peaks[layer][expert] });
            }
        }
    }
    std::stable_sort(found.begin(), found.end(), [](const super_expert & a, const super_expert & b) { return a.peak > b.peak; });
    return found;
}

}  // namespace moebius
