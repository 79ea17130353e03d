#include "slot-allocation.h"

#include <algorithm>
#include <limits>

namespace moebius {

namespace {

uint64_t clamped(const slot_limits & limits, uint64_t budget) {
    return std::clamp(budget, uint64_t(limits.layers) * limits.least, uint64_t(limits.layers) * limits.experts);
}

// The next stretch of a layer's slots: as long as makes the saving per slot the largest.
struct stretch {
    uint32_t slots  = 0;
    double   saving = 0.0;  // misses per slot
};

stretch best_stretch(const miss_curve & curve, uint32_t from, uint32_t most) {
    stretch best;
    for (uint32_t slots = 1; slots <= most; slots++) {
        const double saving = (curve[from] - curve[from + slots]) / double(slots);
        if (slots == 1 || saving > best.saving) {
            best = { slots, saving };
        }
    }
    return best;
}

}  // namespace

std::vector<uint32_t> slots_uniform(const slot_limits & limits, uint64_t budget) {
    if (limits.layers == 0) {
        return {};
    }
    const uint64_t        all = clamped(limits, budget);
    std::vector<uint32_t> slots(limits.layers, uint32_t(all / limits.layers));
    for (uint64_t i = 0; i < all % limits.layers; i++) {
        slots[i]++;
    }
    return slots;
}

std::vector<uint32_t> slots_shallow(const slot_limits & limits, uint64_t budget) {
    std::vector<uint32_t> slots(limits.layers, limits.least);
    std::vector<double>   wanted(limits.layers);
    const uint64_t        all  = clamped(limits, budget);
    const double          mean = limits.layers == 0 ? 0.0 : double(all) / limits.layers;
    for (uint32_t layer = 0; layer < limits.layers; layer++) {
        const double depth = limits.layers == 1 ? 0.5 : double(layer) / (limits.layers - 1);
        wanted[layer]      = mean * (1.5 - depth);
    }
    // one by one to whoever lacks most: limits and rounding need no special care
    for (uint64_t left = all - uint64_t(limits.layers) * limits.least; left > 0; left--) {
        uint32_t neediest = UINT32_MAX;
        for (uint32_t layer = 0; layer < limits.layers; layer++) {
            const bool room = slots[layer] < limits.experts;
            if (room && (neediest == UINT32_MAX || wanted[layer] - slots[layer] > wanted[neediest] - slots[neediest])) {
                neediest = layer;
            }
        }
        slots[neediest]++;
    }
    return slots;
}

std::vector<uint32_t> slots_marginal(const slot_limits & limits, uint64_t budget, const std::vector<miss_curve> & curves) {
    std::vector<uint32_t> slots(limits.layers, limits.least);
    for (uint64_t left = clamped(limits, budget) - uint64_t(limits.layers) * limits.least; left > 0;) {
        stretch  best;
        uint32_t where = 0;
        for (uint32_t layer = 0; layer < limits.layers; layer++) {
            const uint32_t most = uint32_t(std::min<uint64_t>(left, limits.experts - slots[layer]));
            const stretch  next = best_stretch(curves[layer], slots[layer], most);
            if (next.slots > 0 && (best.slots == 0 || next.saving > best.saving)) {
                best  = next;
                where = layer;
            }
        }
        slots[where] += best.slots;
        left -= best.slots;
    }
    return slots;
}

std::vector<uint32_t> slots_optimal(const slot_limits & limits, uint64_t budget, const std::vector<miss_curve> & curves) {
    constexpr double   impossible = std::numeric_limits<double>::infinity();
    const size_t       spare      = size_t(clamped(limits, budget) - uint64_t(limits.layers) * limits.least);
    const uint32_t     most       = limits.experts - limits.least;
    std::vector<double> fewest(spare + 1, impossible);  // misses of the layers so far with that many spare slots
    fewest[0] = 0.0;
    std::vector<std::vector<uint32_t>> chosen;  // [layer][spare slots so far]
    for (uint32_t layer = 0; layer < limits.layers; layer++) {
        std::vector<double> next(spare + 1, impossible);
        chosen.emplace_back(spare + 1, 0);
        for (size_t given = 0; given <= spare; given++) {
            for (uint32_t own = 0; own <= std::min<size_t>(most, given); own++) {
                const double misses = fewest[given - own] + curves[layer][limits.least + own];
                if (misses < next[given]) {
                    next[given]         = misses;
                    chosen.back()[given] = own;
                }
            }
        }
        fewest = std::move(next);
    }
    std::vector<uint32_t> slots(limits.layers, limits.least);
    size_t                given = spare;
    for (uint32_t layer = limits.layers; layer-- > 0;) {
        slots[layer] += chosen[layer][given];
        given -= chosen[layer][given];
    }
    return slots;
}

std::vector<uint32_t> slots_within(const slot_limits & limits, std::vector<uint32_t> wanted, const std::vector<uint64_t> & slot_bytes, uint64_t bytes) {
    uint64_t all = 0;
    for (uint32_t layer = 0; layer < limits.layers; layer++) {
        wanted[layer] = std::clamp(wanted[layer], limits.least, limits.experts);
        all += wanted[layer] * slot_bytes[layer];
    }
    while (all > bytes) {
        const auto richest = std::max_element(wanted.rbegin(), wanted.rend());
        if (richest == wanted.rend() || *richest == limits.least) {
            break;
        }
        (*richest)--;
        all -= slot_bytes[size_t(wanted.rend() - richest) - 1];
    }
    return wanted;
}

miss_curve curve_through(const std::vector<uint32_t> & slots, const std::vector<double> & misses, uint32_t experts) {
    miss_curve curve(size_t(experts) + 1, misses.empty() ? 0.0 : misses.back());
    for (size_t i = 0; i < slots.size(); i++) {
        const uint32_t before = i == 0 ? 0 : slots[i - 1];
        const double   from   = i == 0 ? misses[0] : misses[i - 1];
        for (uint32_t at = before; at <= slots[i]; at++) {
            const double part = slots[i] == before ? 1.0 : double(at - before) / double(slots[i] - before);
            curve[at]         = from + (misses[i] - from) * part;
        }
    }
    return curve;
}

}  // namespace moebius
