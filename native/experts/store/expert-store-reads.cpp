// The part of expert_store that reads what it was asked for, and books what has come.
#include "expert-store.h"

namespace moebius {

namespace {

uint32_t all_parts(const expert_layer & layer) {
    return (1u << layer.parts.size()) - 1;
}

}  // namespace

// Under `mutex`. The expert has the slot.
void expert_store::start_read(uint32_t layer, uint32_t expert, uint32_t slot, file_reader::priority urgency) {
    entry & state = entry_of(layer, expert);
    state.parts_here.store(0, std::memory_order_relaxed);
    state.reading = true;
    state.failed  = false;
    state.wanted  = urgency == file_reader::priority::demand ? seconds_now() : 0.0;
    if (state.wanted > 0.0) {
        ahead_of.wanted(state.wanted);
    }
    reading++;
    state.pieces = read_expert(layer, expert, room(layer, slot), urgency, [this, layer, expert](uint32_t part, const char * failure) { part_read(layer, expert, part, failure); });
}

// On a reader thread.
void expert_store::part_read(uint32_t layer, uint32_t expert, uint32_t part, const char * failure) {
    const std::lock_guard<std::mutex> lock(mutex);
    entry &                           state = entry_of(layer, expert);
    if (failure) {
        state.failed = true;
        note_failure(layer, expert, part, failure);
    } else if (state.waiting == 0) {
        counted.bytes_hidden += all.layers[layer].parts[part].bytes;
    }
    const uint32_t here = state.parts_here.load(std::memory_order_relaxed) | 1u << part;
    state.reading       = here != all_parts(all.layers[layer]);
    state.parts_here.store(here, std::memory_order_release);
    if (!state.reading) {
        read_whole(layer, expert);
    }
    arrived.notify_all();
}

// Under `mutex`: all parts have come, or will not.
void expert_store::read_whole(uint32_t layer, uint32_t expert) {
    entry &    state  = entry_of(layer, expert);
    const bool failed = state.failed;
    reading--;
    const double now = seconds_now();
    if (state.wanted > 0.0) {
        ahead_of.read(now, state.ahead ? 0.0 : now - state.wanted);
    }
    if (state.ahead) {
        ahead_of.arrived(layer, expert, now);
        reading_ahead--;
        state.ahead = false;
    }
    for (; state.unpins_due > 0; state.unpins_due--) {
        cache.unpin({ layer, expert });
    }
    drop_if_failed(layer, expert);
    read_pending();
    read_proposed();
    if (state.filling) {
        state.filling = false;
        filling--;
        if (!failed) {  // else it would be tried again and again
            fill_free_slots();
        }
    }
}

// Under `mutex`: gives slots to those that wait for one.
void expert_store::read_pending() {
    while (!pending.empty()) {
        const expert_ref expert{ pending_layer, pending.front() };
        const int32_t    slot = cache.take(expert);
        if (slot == slot_cache::none) {
            return;
        }
        pending.pop_front();
        cache.pin(expert);
        start_read(expert.layer, expert.expert, uint32_t(slot), file_reader::priority::demand);
    }
}

// Under `mutex`. What could not be read is tried again when it is next wanted.
void expert_store::drop_if_failed(uint32_t layer, uint32_t expert) {
    entry & state = entry_of(layer, expert);
    if (state.failed && !cache.pinned({ layer, expert })) {
        cache.drop({ layer, expert });
        state.failed = false;
    }
}

// Under `mutex`. The expert is pinned until all of it is there.
void expert_store::read_early(uint32_t layer, uint32_t expert, uint32_t slot) {
    cache.pin({ layer, expert });
    entry_of(layer, expert).unpins_due++;
    start_read(layer, expert, slot, file_reader::priority::prefetch);
}

}  // namespace moebius
