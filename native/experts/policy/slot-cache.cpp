#include "slot-cache.h"

#include <algorithm>
#include <tuple>

namespace moebius {

namespace {

constexpr uint32_t free_slot   = UINT32_MAX;
constexpr size_t   for_others  = 2;  // slots of a layer that no protected expert has: one computes, one is read

}  // namespace

slot_cache::slot_cache(expert_cache_shape shape, std::unique_ptr<cache_policy> policy) : cache_shape(std::move(shape)), policy(std::move(policy)) {
    slots.assign(cache_shape.layers, std::vector<int32_t>(cache_shape.experts, none));
    pins.assign(cache_shape.layers, std::vector<uint32_t>(cache_shape.experts, 0));
    for (const uint32_t count : cache_shape.slots) {
        residents.emplace_back(count, free_slot);
    }
    protect_first.resize(cache_shape.layers);
}

void slot_cache::used(uint32_t layer, const std::vector<expert_use> & uses) {
    policy->used(layer, uses);
}

int32_t slot_cache::slot_of(expert_ref expert) const {
    return slots[expert.layer][expert.expert];
}

bool slot_cache::pinned(expert_ref expert) const {
    return pins[expert.layer][expert.expert] > 0;
}

// A free slot, else the one whose resident is worth least, else none.
int32_t slot_cache::slot_to_leave(uint32_t layer, const std::vector<double> * chances, double less_than) const {
    const std::vector<uint32_t> & held  = residents[layer];
    int32_t                       best  = none;
    double                        value = 0.0;
    for (uint32_t slot = 0; slot < held.size(); slot++) {
        const uint32_t resident = held[slot];
        if (resident == free_slot) {
            return int32_t(slot);
        }
        if (pinned({ layer, resident }) || is_protected({ layer, resident }) || (chances && (*chances)[resident] >= less_than)) {
            continue;
        }
        const double keep = policy->keep_value({ layer, resident });
        if (best == none || keep < value || (keep == value && resident < held[size_t(best)])) {
            best  = int32_t(slot);
            value = keep;
        }
    }
    return best;
}

// Gives the expert that had the slot, free_slot if nobody.
uint32_t slot_cache::put(expert_ref expert, int32_t slot) {
    uint32_t &     held    = residents[expert.layer][size_t(slot)];
    const uint32_t leaving = held;
    if (leaving != free_slot) {
        slots[expert.layer][leaving] = none;
    }
    held                               = expert.expert;
    slots[expert.layer][expert.expert] = slot;
    return leaving;
}

int32_t slot_cache::take(expert_ref expert, expert_ref * evicted) {
    const int32_t best = slot_to_leave(expert.layer);
    if (best == none) {
        return none;
    }
    const uint32_t leaving = put(expert, best);
    if (evicted) {
        *evicted = { expert.layer, leaving };
    }
    return best;
}

std::vector<taken_slot> slot_cache::take_ahead(uint32_t layer, const std::vector<foreseen_use> & foreseen, const read_ahead & ahead,
                                               std::vector<double> chances) {
    std::vector<taken_slot> taken;
    chances.resize(cache_shape.experts, 0.0);
    for (const foreseen_use & use : foreseen) {
        chances[use.expert] = std::max(chances[use.expert], use.probability);
    }
    for (const foreseen_use & use : foreseen) {
        if (taken.size() == ahead.most || use.probability < ahead.least) {
            break;
        }
        if (slot_of({ layer, use.expert }) != none) {
            continue;
        }
        const int32_t slot = slot_to_leave(layer, &chances, use.probability / ahead.margin);
        if (slot == none) {
            break;
        }
        taken.push_back({ use.expert, uint32_t(slot), put({ layer, use.expert }, slot) });
    }
    return taken;
}

void slot_cache::pin(expert_ref expert) {
    pins[expert.layer][expert.expert]++;
}

void slot_cache::unpin(expert_ref expert) {
    pins[expert.layer][expert.expert]--;
}

void slot_cache::give_back(expert_ref expert, uint32_t evicted) {
    const int32_t slot = slot_of(expert);
    drop(expert);
    if (evicted != free_slot && slot_of({ expert.layer, evicted }) == none) {
        put({ expert.layer, evicted }, slot);
    }
}

void slot_cache::protect(const std::vector<expert_ref> & experts) {
    protect_first.assign(cache_shape.layers, {});
    for (const expert_ref & expert : experts) {
        protect_first[expert.layer].push_back(expert.expert);
    }
}

bool slot_cache::is_protected(expert_ref expert) const {
    const std::vector<uint32_t> & first = protect_first[expert.layer];
    const size_t                  slots = residents[expert.layer].size();
    const auto                    end   = first.begin() + ptrdiff_t(std::min(first.size(), slots - std::min(slots, for_others)));
    return std::find(first.begin(), end, expert.expert) != end;
}

void slot_cache::drop(expert_ref expert) {
    int32_t & slot                        = slots[expert.layer][expert.expert];
    residents[expert.layer][size_t(slot)] = free_slot;
    slot                                  = none;
}

std::vector<uint32_t> slot_cache::by_value(uint32_t layer, bool resident) const {
    std::vector<std::tuple<bool, double, uint32_t>> found;
    for (uint32_t expert = 0; expert < cache_shape.experts; expert++) {
        if ((slots[layer][expert] != none) == resident) {
            found.emplace_back(is_protected({ layer, expert }), policy->keep_value({ layer, expert }), expert);
        }
    }
    std::sort(found.rbegin(), found.rend());
    std::vector<uint32_t> experts;
    for (const auto & [first, value, expert] : found) {
        experts.push_back(expert);
    }
    return experts;
}

std::vector<slot_move> slot_cache::resize(uint32_t layer, uint32_t count) {
    std::vector<uint32_t> &     at   = residents[layer];
    const std::vector<uint32_t> best = by_value(layer, true);
    for (size_t i = count; i < best.size(); i++) {
        drop({ layer, best[i] });
    }
    std::vector<slot_move> moves;
    uint32_t               to = 0;
    for (uint32_t from = count; from < at.size(); from++) {
        if (at[from] == free_slot) {
            continue;
        }
        while (at[to] != free_slot) {
            to++;
        }
        moves.push_back({ from, to });
        slots[layer][at[from]] = int32_t(to);
        at[to]                 = at[from];
    }
    at.resize(count, free_slot);
    cache_shape.slots[layer] = count;
    return moves;
}

std::vector<uint32_t> slot_cache::wanted(uint32_t layer) const {
    const size_t          free    = size_t(std::count(residents[layer].begin(), residents[layer].end(), free_slot));
    std::vector<uint32_t> experts = free > 0 ? by_value(layer, false) : std::vector<uint32_t>();
    experts.resize(std::min(free, experts.size()));
    return experts;
}

void slot_cache::set_policy(std::unique_ptr<cache_policy> next) {
    policy = std::move(next);
}

}  // namespace moebius
