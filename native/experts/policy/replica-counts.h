// How many copies of each expert of a layer there should be. Pure.
#pragma once

#include <cstdint>
#include <vector>

namespace moebius {

// In proportion to the load, at least one each and at most `most` (devices: two copies on one are of no use), `slots` in all as long
// as `most` lets them: the count rule of SwiftMoE (SYMI, arXiv 2504.19925).
// loads: [experts], at least 0; slots: at least as many as experts.
std::vector<uint32_t> replica_counts_proportional(const std::vector<double> & loads, uint32_t slots, uint32_t most);

// The same by giving every further copy to the expert with the highest load per copy: the rule of DeepSeek's EPLB.
std::vector<uint32_t> replica_counts_greedy(const std::vector<double> & loads, uint32_t slots, uint32_t most);

}  // namespace moebius
