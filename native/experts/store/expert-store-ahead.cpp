// The half of expert_store that reads before it is asked.
#include "expert-store.h"

#include <algorithm>

namespace moebius {

namespace {

// Experts that are read ahead at a time: enough to keep the readers busy, no more, because a batch waits behind what has begun.
uint32_t ahead_most(const expert_layout & layout) {
    constexpr uint64_t bytes = 16u << 20;
    constexpr uint64_t most  = 4;
    uint64_t           slot  = 1;
    for (const expert_layer & layer : layout.layers) {
        slot = std::max(slot, expert_slot_bytes(layer));
    }
    return uint32_t(std::clamp<uint64_t>(bytes / slot, 1, most));
}

}  // namespace

// Under `mutex`: a few at a time, so that proposals which a batch has overtaken have not begun.
void expert_store::read_proposed() {
    const uint32_t most = ahead_most(all);
    if (closing || resident || reading_ahead >= most) {
        return;
    }
    for (const prefetch_read & read : ahead_of.next(cache, most - reading_ahead, seconds_now())) {
        read_early(read.layer, read.expert, read.slot);
        entry_of(read.layer, read.expert).ahead = true;
        reading_ahead++;
    }
}

// Under `mutex`. What was proposed for a batch that now does without it, and still waits in the queue, is not read; whoever left for it is
// where it was.
void expert_store::withdraw_overtaken(uint32_t layer, const std::vector<expert_use> & uses) {
    for (const overtaken_read & read : ahead_of.overtaken(layer, uses)) {
        entry &         state = entry_of(layer, read.expert);
        const uint8_t * from  = state.ahead ? room(layer, uint32_t(cache.slot_of({ layer, read.expert }))) : nullptr;
        if (!from || !reader->withdraw(from, from + expert_slot_bytes(all.layers[layer]), state.pieces)) {
            continue;
        }
        state.ahead = state.reading = false;
        reading--;
        reading_ahead--;
        for (; state.unpins_due > 0; state.unpins_due--) {
            cache.unpin({ layer, read.expert });
        }
        cache.give_back({ layer, read.expert }, read.evicted);
        ahead_of.withdrawn(layer, read.expert);
    }
}

bool expert_store::prefetches() const {
    const std::lock_guard<std::mutex> lock(mutex);
    return current.prefetch && !resident;
}

uint32_t expert_store::prefetch_depth(expert_predictor by) const {
    const std::lock_guard<std::mutex> lock(mutex);
    return resident ? 0 : ahead_of.depth(by);
}

void expert_store::propose(expert_predictor by, uint32_t layer, std::vector<foreseen_use> foreseen) {
    const std::lock_guard<std::mutex> lock(mutex);
    ahead_of.propose(by, layer, std::move(foreseen));
    read_proposed();
}

void expert_store::set_prefetch(bool on) {
    const std::lock_guard<std::mutex> lock(mutex);
    current.prefetch = on;
    ahead_of.set_on(on, seconds_now());
}

std::vector<prefetch_report> expert_store::prefetch_reports() const {
    const std::lock_guard<std::mutex> lock(mutex);
    std::vector<prefetch_report>      reports;
    for (uint32_t p = 0; p < expert_predictors; p++) {
        reports.push_back(ahead_of.report(expert_predictor(p)));
    }
    return reports;
}

}  // namespace moebius
