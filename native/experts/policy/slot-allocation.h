// How a number of slots is shared out among the layers. Pure.
#pragma once

#include <cstdint>
#include <vector>

namespace moebius {

struct slot_limits {
    uint32_t layers  = 0;
    uint32_t experts = 0;  // the most slots of a layer
    uint32_t least   = 1;  // the fewest, 1 .. experts
};

// Misses of a layer with 0, 1, ... experts slots. Need not fall everywhere.
using miss_curve = std::vector<double>;

// All of these share out `budget` slots, brought into layers * least .. layers * experts; the sum of the result is exactly that.

// The same everywhere, the rest to the first layers: as expert_slots_for does.
std::vector<uint32_t> slots_uniform(const slot_limits & limits, uint64_t budget);

// More for shallow layers, whose experts are hardest to foresee (Fate, arXiv 2502.12224): the share falls linearly from 1.5 times the mean in
// the first layer to half of it in the last.
std::vector<uint32_t> slots_shallow(const slot_limits & limits, uint64_t budget);

// By marginal benefit (the idea of AdapMoE's cache allocation, arXiv 2408.10284): again and again, the stretch of slots that saves most misses
// per slot is added to its layer. Where every curve is convex this is optimal. curves: [layer][0 .. experts].
std::vector<uint32_t> slots_marginal(const slot_limits & limits, uint64_t budget, const std::vector<miss_curve> & curves);

// Fewest misses in sum, by dynamic programming over layers: layers * budget * experts steps.
std::vector<uint32_t> slots_optimal(const slot_limits & limits, uint64_t budget, const std::vector<miss_curve> & curves);

// `wanted` brought within `bytes`, whatever a slot of each layer takes (`slot_bytes`): first each within limits.least .. limits.experts, then one
// after the other is taken from the layer that has the most slots above the least (of equal ones the deepest).
std::vector<uint32_t> slots_within(const slot_limits & limits, std::vector<uint32_t> wanted, const std::vector<uint64_t> & slot_bytes, uint64_t bytes);

// A curve through measured points, straight between them; before the first and behind the last it is flat. `slots` ascending, at most experts.
miss_curve curve_through(const std::vector<uint32_t> & slots, const std::vector<double> & misses, uint32_t experts);

}  // namespace moebius
