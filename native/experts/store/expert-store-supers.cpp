// The part of expert_store that keeps super experts in RAM.
#include "expert-store.h"

namespace moebius {

// Under `mutex`. Those that are not there are read; where no slot can be had now, they stay from when they are next used on.
void expert_store::protect_super_experts() {
    std::vector<expert_ref> experts;
    for (const super_expert & one : *supers.known()) {
        experts.push_back(one.expert);
    }
    cache.protect(experts);
    for (const expert_ref expert : experts) {
        const int32_t slot = cache.is_protected(expert) && cache.slot_of(expert) == slot_cache::none ? cache.take(expert) : slot_cache::none;
        if (slot != slot_cache::none) {
            read_early(expert.layer, expert.expert, uint32_t(slot));
        }
    }
}

std::optional<std::vector<super_expert>> expert_store::super_experts() const {
    const std::lock_guard<std::mutex> lock(mutex);
    return supers.known();
}

bool expert_store::is_protected(expert_ref expert) const {
    const std::lock_guard<std::mutex> lock(mutex);
    return cache.is_protected(expert);
}

void expert_store::remember_super_experts(std::vector<super_expert> earlier) {
    const std::lock_guard<std::mutex> lock(mutex);
    supers.remember(std::move(earlier));
    protect_super_experts();
}

}  // namespace moebius
