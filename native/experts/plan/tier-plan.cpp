#include "tier-plan.h"

#include <algorithm>

namespace moebius {

std::vector<uint32_t> all_slots(const tier_plan & plan, uint32_t first_device, uint32_t experts) {
    std::vector<uint32_t> sum(plan.slots.empty() ? 0 : plan.slots[0].size(), 0);
    for (uint32_t d = first_device; d < plan.slots.size(); d++) {
        for (size_t i = 0; i < sum.size(); i++) {
            sum[i] = std::min(experts, sum[i] + plan.slots[d][i]);
        }
    }
    return sum;
}

}  // namespace moebius
