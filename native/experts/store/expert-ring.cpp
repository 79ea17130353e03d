#include "expert-ring.h"

#include <algorithm>

namespace moebius {

namespace {

// A batch that uses so much of a layer is taken to use as much of the next.
constexpr double ring_ahead_share = 0.75;

}  // namespace

expert_ring::expert_ring(expert_layout layout, const expert_store_settings & settings)
    : expert_storage(std::move(layout), settings.readers),
      current(settings),
      bytes_each(expert_ring_slot_bytes(all)),
      memory(most_bytes(), expert_ring_slots_for(all, settings.ram_bytes) * bytes_each),
      slots(expert_ring_slots_for(all, settings.ram_bytes)),
      places(all.layers.size() * all.experts, nobody),
      waiting(all.layers.size() * all.experts, 0),
      foreseen(all.layers.size()) {
    current.policy = kind();
    for (const expert_layer & layer : all.layers) {
        file_order.push_back(file_order_of(layer, all.experts));
    }
}

expert_ring::~expert_ring() {
    {
        const std::lock_guard<std::mutex> lock(mutex);
        wanted.clear();
        ahead = false;
    }
    reader.reset();
}

expert_store_settings expert_ring::settings() const {
    const std::lock_guard<std::mutex> lock(mutex);
    return current;
}

uint64_t expert_ring::slot_bytes() const {
    const std::lock_guard<std::mutex> lock(mutex);
    return slots.size() * bytes_each;
}

std::vector<uint32_t> expert_ring::layer_slots() const {
    const std::lock_guard<std::mutex> lock(mutex);
    std::vector<uint32_t>             counts(all.layers.size(), 0);
    for (const slot & each : slots) {
        if (each.layer != nobody) {
            counts[each.layer]++;
        }
    }
    return counts;
}

std::vector<std::vector<expert_tier>> expert_ring::tiers() const {
    const std::lock_guard<std::mutex>     lock(mutex);
    std::vector<std::vector<expert_tier>> result(all.layers.size(), std::vector<expert_tier>(all.experts, expert_tier::disk));
    for (const slot & each : slots) {
        if (each.layer != nobody) {
            result[each.layer][each.expert] = each.reading ? expert_tier::moving : expert_tier::ram;
        }
    }
    return result;
}

void expert_ring::set_prefetch(bool on) {
    const std::lock_guard<std::mutex> lock(mutex);
    current.prefetch = on;
    ahead            = ahead && on;
}

// The round of the layers foretells, and as a whole: there is nothing to weigh.
std::vector<prefetch_report> expert_ring::prefetch_reports() const {
    const std::lock_guard<std::mutex> lock(mutex);
    prefetch_report                   report{ "round", {}, {}, {}, foreseen };
    report.control.depth = ahead ? uint32_t(all.layers.size()) - 1 : 0;
    report.control.least = ring_ahead_share;
    return { report };
}

void expert_ring::restart_counters() {
    expert_storage::restart_counters();
    const std::lock_guard<std::mutex> lock(mutex);
    forget_what_was_ahead();
}

// Under `mutex`: counting begins.
void expert_ring::forget_what_was_ahead() {
    foreseen.assign(all.layers.size(), {});
    for (slot & each : slots) {
        each.ahead = false;
    }
}

void expert_ring::resize(uint64_t ram_bytes) {
    const uint32_t                    count = expert_ring_slots_for(all, ram_bytes);
    const std::lock_guard<std::mutex> between_batches(session);
    std::unique_lock<std::mutex>      lock(mutex);
    ahead = false;
    arrived.wait(lock, [&] { return reading == 0 && std::all_of(slots.begin(), slots.end(), [](const slot & each) { return each.pins == 0; }); });
    for (uint32_t i = count; i < slots.size(); i++) {
        leave(i);
    }
    slots.resize(count);
    memory.resize(count * bytes_each);
    current.ram_bytes = ram_bytes;
}

// Begins the round: the first layers.
bool expert_ring::fill(const std::function<bool(uint64_t, uint64_t)> & go_on) {
    const uint64_t               total = slot_bytes();
    std::unique_lock<std::mutex> lock(mutex);
    now   = uint32_t(all.layers.size()) - 1;
    ahead = true;
    read_on();
    while (reading > 0) {
        arrived.wait_for(lock, std::chrono::milliseconds(50));
        lock.unlock();
        const bool keep_on = go_on(std::min(reader->bytes_read(), total), total);
        lock.lock();
        if (!keep_on) {
            ahead = false;
            return false;
        }
    }
    ahead = false;
    forget_what_was_ahead();
    if (!last_error.empty()) {
        throw user_error("file.unreadable", "The experts could not be read: " + last_error + ".");
    }
    return true;
}

// --- under `mutex`

bool expert_ring::is_whole(uint32_t layer, uint32_t expert) const {
    const uint32_t at = places[index(layer, expert)];
    return at != nobody && !slots[at].reading && !slots[at].failed;
}

const uint8_t * expert_ring::hold(uint32_t layer, uint32_t expert) {
    const uint32_t at = places[index(layer, expert)];
    slots[at].pins++;
    return room(at);
}

// Layers until a layer's turn comes; of the one that was begun last: the whole round.
uint32_t expert_ring::turns_until(uint32_t layer) const {
    const uint32_t layers = uint32_t(all.layers.size());
    const uint32_t turns  = (layer + layers - now) % layers;
    return turns == 0 ? layers : turns;
}

// A slot that may be taken for an expert that is needed in so many turns: a free one, else the one whose expert is needed latest, and later.
uint32_t expert_ring::slot_to_leave(uint32_t turns) const {
    uint32_t best = nobody, latest = turns;
    for (uint32_t i = 0; i < slots.size(); i++) {
        if (slots[i].pins > 0 || slots[i].reading) {
            continue;
        }
        if (slots[i].layer == nobody) {
            return i;
        }
        if (turns_until(slots[i].layer) > latest) {
            latest = turns_until(slots[i].layer);
            best   = i;
        }
    }
    return best;
}

void expert_ring::leave(uint32_t at) {
    if (slots[at].layer != nobody) {
        places[index(slots[at].layer, slots[at].expert)] = nobody;
        foreseen[slots[at].layer].wasted += slots[at].ahead ? 1 : 0;
    }
    slots[at] = {};
}

void expert_ring::take(uint32_t at, uint32_t layer, uint32_t expert, file_reader::priority urgency) {
    leave(at);
    places[index(layer, expert)] = at;
    slots[at].layer              = layer;
    slots[at].expert             = expert;
    slots[at].reading            = true;
    reading++;
    read_expert(layer, expert, room(at), urgency, [this, at](uint32_t part, const char * failure) { part_read(at, part, failure); });
}

// Gives slots to those that wait for one, then to those that come next.
void expert_ring::read_on() {
    while (!wanted.empty()) {
        const uint32_t at = slot_to_leave(0);
        if (at == nobody) {
            return;
        }
        take(at, now, wanted.front(), file_reader::priority::demand);
        slots[at].pins = 1;
        wanted.pop_front();
    }
    read_ahead_on();
}

void expert_ring::read_ahead_on() {
    const uint32_t layers = uint32_t(all.layers.size());
    for (uint32_t turns = 1; ahead && turns < layers; turns++) {
        const uint32_t layer = (now + turns) % layers;
        for (const uint32_t expert : file_order[layer]) {
            if (places[index(layer, expert)] != nobody) {
                continue;
            }
            const uint32_t at = slot_to_leave(turns);
            if (at == nobody) {
                return;
            }
            take(at, layer, expert, file_reader::priority::prefetch);
            slots[at].ahead = true;
            foreseen[layer].read++;
        }
    }
}

void expert_ring::unpin(uint32_t at) {
    slots[at].pins--;
    if (slots[at].pins == 0 && slots[at].failed && !slots[at].reading) {
        leave(at);  // tried again when it is next wanted
    }
    read_on();
    arrived.notify_all();
}

// --- any thread

void expert_ring::part_read(uint32_t at, uint32_t part, const char * failure) {
    const std::lock_guard<std::mutex> lock(mutex);
    slot &                            state = slots[at];
    const expert_layer &              layer = all.layers[state.layer];
    if (failure) {
        state.failed = true;
        note_failure(state.layer, state.expert, part, failure);
    } else if (waiting[index(state.layer, state.expert)] == 0) {
        counted.bytes_hidden += layer.parts[part].bytes;
    }
    state.parts_here |= 1u << part;
    if (state.parts_here == (1u << layer.parts.size()) - 1) {
        state.reading = false;
        reading--;
        if (state.failed && state.pins == 0) {
            leave(at);
            ahead = false;  // it would be tried again and again
        }
        read_on();
    }
    arrived.notify_all();
}

void expert_ring::begin(uint32_t layer, std::vector<expert_use> & uses) {
    const std::lock_guard<std::mutex> lock(mutex);
    now   = layer;
    ahead = current.prefetch && double(uses.size()) >= ring_ahead_share * all.experts;
    const auto in_file_order = [&](const expert_use & a, const expert_use & b) { return lies_before(all.layers[layer], a.expert, b.expert); };
    const auto place_of = [&](const expert_use & use) { return places[index(layer, use.expert)]; };
    std::sort(uses.begin(), uses.end(), in_file_order);
    const auto missing = std::stable_partition(uses.begin(), uses.end(), [&](const expert_use & use) { return place_of(use) != nobody; });
    const auto late    = std::stable_partition(uses.begin(), missing, [&](const expert_use & use) { return !slots[place_of(use)].reading; });
    expert_layer_counters & count = counted.layers[layer];
    count.hits += uint64_t(late - uses.begin());
    count.late += uint64_t(missing - late);
    count.misses += uint64_t(uses.end() - missing);
    std::for_each(late, missing, [&](const expert_use & use) { reader->hurry(room(place_of(use)), room(place_of(use)) + bytes_each); });
    std::for_each(uses.begin(), missing, [&](const expert_use & use) {
        slot & found = slots[place_of(use)];
        found.pins++;
        foreseen[layer].used += found.ahead && !found.reading ? 1 : 0;
        foreseen[layer].late += found.ahead && found.reading ? 1 : 0;
        found.ahead = false;
    });
    std::for_each(missing, uses.end(), [&](const expert_use & use) { wanted.push_back(use.expert); });
    read_on();
}

const uint8_t * expert_ring::wait(uint32_t layer, uint32_t expert, uint32_t part) {
    std::unique_lock<std::mutex> lock(mutex);
    const size_t                 which = index(layer, expert);
    const auto here = [&] { return places[which] != nobody && (slots[places[which]].parts_here & 1u << part) != 0; };
    if (!here()) {
        waiting[which]++;
        stall_until(lock, layer, here);
        waiting[which]--;
    }
    return slots[places[which]].failed ? nullptr : part_in(room(places[which]), layer, expert, part);
}

void expert_ring::finish(uint32_t layer, uint32_t expert) {
    const std::lock_guard<std::mutex> lock(mutex);
    unpin(places[index(layer, expert)]);
}

}  // namespace moebius
