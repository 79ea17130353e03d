#include "slots.h"

#include <algorithm>

namespace moebius {

slot_pool::slot_pool(const decode_context & context, uint32_t count)
    : context(context), slots(count), swa_window(llama_model_n_swa(context.get_model())) {
    for (uint32_t i = 0; i < count; ++i) {
        slots[i].sequence = llama_seq_id(i);
    }
}

size_t slot_pool::common_prefix(const sequence_slot & slot, const slot_wish & wish) const {
    const std::vector<llama_token> & prompt = wish.prompt;
    const size_t                     most   = slot.adapters == wish.adapters ? std::min(slot.tokens.size(), prompt.size()) : 0;
    return size_t(std::mismatch(prompt.begin(), prompt.begin() + ptrdiff_t(most), slot.tokens.begin()).first - prompt.begin());
}

// How many tokens of `prompt` can be taken from `slot`. Sliding windows have forgotten what lies before them.
size_t slot_pool::usable_prefix(const sequence_slot & slot, const slot_wish & wish) const {
    const size_t common = std::min(common_prefix(slot, wish), wish.prompt.size() - 1);
    if (common == slot.tokens.size() || swa_window == 0) {
        return common;
    }
    const llama_pos needed = std::max<llama_pos>(0, llama_pos(common) - swa_window);
    return llama_memory_seq_pos_min(context.memory(), slot.sequence) <= needed ? common : 0;
}

sequence_slot * slot_pool::choose(const slot_wish & wish) {
    const std::string & key    = wish.cache_key;

    sequence_slot * oldest = nullptr;
    sequence_slot * best   = nullptr;
    for (sequence_slot & slot : slots) {
        if (slot.busy) {
            continue;
        }
        if (wish.reuse && !key.empty() && slot.cache_key == key && slot.adapters == wish.adapters) {
            return &slot;
        }
        const bool ours = key.empty() || slot.cache_key.empty();
        if (wish.reuse && ours && !slot.tokens.empty() && common_prefix(slot, wish) == slot.tokens.size() &&
            (!best || slot.tokens.size() > best->tokens.size())) {
            best = &slot;
        }
        const bool emptier = oldest && slot.tokens.empty() && !oldest->tokens.empty();
        const bool older   = oldest && slot.tokens.empty() == oldest->tokens.empty() && slot.last_use < oldest->last_use;
        if (!oldest || emptier || older) {
            oldest = &slot;
        }
    }
    return best ? best : oldest;
}

bool slot_pool::truncate(sequence_slot & slot, size_t keep) {
    if (keep == slot.tokens.size()) {
        return true;
    }
    if (keep > 0 && !context.splits_by_sequence() && llama_memory_seq_rm(context.memory(), slot.sequence, llama_pos(keep), -1)) {
        slot.tokens.resize(keep);
        return true;
    }
    clear(slot);
    return false;
}

// Sharing cells between sequences costs nothing in a unified cache.
void slot_pool::copy_longer_prefix(sequence_slot & into, const slot_wish & wish) {
    if (context.splits_by_sequence()) {
        return;
    }
    sequence_slot * from    = nullptr;
    size_t          longest = usable_prefix(into, wish);
    for (sequence_slot & slot : slots) {
        const size_t prefix = &slot == &into ? 0 : usable_prefix(slot, wish);
        if (prefix > longest) {
            longest = prefix;
            from    = &slot;
        }
    }
    if (!from) {
        return;
    }
    clear(into);
    llama_memory_seq_cp(context.memory(), from->sequence, into.sequence, 0, llama_pos(longest));
    into.tokens.assign(wish.prompt.begin(), wish.prompt.begin() + ptrdiff_t(longest));
    into.adapters      = wish.adapters;
    into.shares_cells  = true;
    from->shares_cells = true;
}

sequence_slot * slot_pool::acquire(const slot_wish & wish) {
    sequence_slot * slot = choose(wish);
    if (!slot) {
        return nullptr;
    }
    if (wish.reuse) {
        copy_longer_prefix(*slot, wish);
        truncate(*slot, usable_prefix(*slot, wish));
    } else {
        clear(*slot);
    }
    slot->cache_key = wish.cache_key;
    slot->adapters  = wish.adapters;
    slot->busy      = true;
    slot->last_use  = ++clock;
    return slot;
}

void slot_pool::release(sequence_slot & slot) {
    slot.busy     = false;
    slot.last_use = ++clock;
}

void slot_pool::clear(sequence_slot & slot) {
    llama_memory_seq_rm(context.memory(), slot.sequence, -1, -1);
    slot.tokens.clear();
    slot.shares_cells = false;
}

void slot_pool::shift(sequence_slot & slot, size_t keep, size_t discard) {
    const llama_memory_t memory = context.memory();
    if (slot.shares_cells || !llama_memory_can_shift(memory) ||
        !llama_memory_seq_rm(memory, slot.sequence, llama_pos(keep), llama_pos(keep + discard))) {
        truncate(slot, keep);
        return;
    }
    llama_memory_seq_add(memory, slot.sequence, llama_pos(keep + discard), -1, -llama_pos(discard));
    slot.tokens.erase(slot.tokens.begin() + ptrdiff_t(keep), slot.tokens.begin() + ptrdiff_t(keep + discard));
}

bool slot_pool::evict_idle() {
    sequence_slot * oldest = nullptr;
    for (sequence_slot & slot : slots) {
        if (!slot.busy && !slot.tokens.empty() && (!oldest || slot.last_use < oldest->last_use)) {
            oldest = &slot;
        }
    }
    if (!oldest) {
        return false;
    }
    clear(*oldest);
    return true;
}

}  // namespace moebius
