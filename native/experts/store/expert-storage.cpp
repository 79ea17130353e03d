#include "expert-storage.h"

#include <cstring>

namespace moebius {

expert_layer_counters expert_store_counters::total() const {
    expert_layer_counters sum;
    for (const expert_layer_counters & layer : layers) {
        sum.hits += layer.hits;
        sum.late += layer.late;
        sum.misses += layer.misses;
        sum.stalled_us += layer.stalled_us;
    }
    return sum;
}

expert_storage::expert_storage(expert_layout layout, uint32_t readers) : expert_source(std::move(layout)), reader(std::make_unique<file_reader>(all.files, readers)) {
    counted.layers.resize(all.layers.size());
    for (const expert_layer & layer : all.layers) {
        std::vector<uint64_t> offsets = packed_offsets(layer.parts);
        for (size_t part = 0; !layer.is_packed() && part < layer.parts.size(); part++) {
            offsets[part + 1] = offsets[part] + file_reader::room_for(layer.parts[part].bytes);
        }
        part_offsets.push_back(std::move(offsets));
    }
}

expert_store_counters expert_storage::counters() const {
    const std::lock_guard<std::mutex> lock(mutex);
    expert_store_counters             result = counted;
    result.bytes_read                        = reader->bytes_read() - bytes_read_before;
    return result;
}

void expert_storage::restart_counters() {
    const std::lock_guard<std::mutex> lock(mutex);
    counted           = {};
    counted.layers.resize(all.layers.size());
    bytes_read_before = reader->bytes_read();
}

std::string expert_storage::error() const {
    const std::lock_guard<std::mutex> lock(mutex);
    return last_error;
}

const uint8_t * expert_storage::part_in(const uint8_t * slot, uint32_t layer, uint32_t expert, uint32_t part) const {
    const expert_layer & of    = all.layers[layer];
    const uint64_t       shift = of.is_packed() ? 0 : file_reader::shift_of(of.parts[part].offset + expert * of.parts[part].bytes);
    return slot + part_offsets[layer][part] + shift;
}

uint32_t expert_storage::read_expert(uint32_t layer, uint32_t expert, uint8_t * slot, file_reader::priority urgency,
                                     const std::function<void(uint32_t part, const char * failure)> & done) {
    const expert_layer &             of    = all.layers[layer];
    const std::vector<expert_part> & parts = of.parts;
    if (of.is_packed()) {
        std::vector<uint64_t> ends(part_offsets[layer].begin() + 1, part_offsets[layer].end());
        ends.back() -= file_reader::aligned(parts.back().bytes) - parts.back().bytes;
        const expert_place place = expert_place_of(of, expert, 0);
        return reader->read(place.file, place.offset, ends, slot, urgency, done);
    }
    uint32_t pieces = 0;
    for (uint32_t i = 0; i < parts.size(); i++) {
        const expert_place place = expert_place_of(of, expert, i);
        pieces += reader->read(place.file, place.offset, { parts[i].bytes }, slot + part_offsets[layer][i], urgency,
                               [done, i](uint32_t, const char * failure) { done(i, failure); });
    }
    return pieces;
}

void expert_storage::note_failure(uint32_t layer, uint32_t expert, uint32_t part, const char * failure) {
    last_error = all.files[expert_place_of(all.layers[layer], expert, part).file] + ": " + failure;
}

std::vector<bool> expert_storage::here(uint32_t layer) const {
    const std::lock_guard<std::mutex> lock(mutex);
    std::vector<bool>                 whole(all.experts);
    for (uint32_t expert = 0; expert < all.experts; expert++) {
        whole[expert] = is_whole(layer, expert);
    }
    return whole;
}

std::vector<bool> expert_storage::at_hand(uint32_t layer) const {
    const std::lock_guard<std::mutex> lock(mutex);
    std::vector<bool>                 found(all.experts);
    for (uint32_t expert = 0; expert < all.experts; expert++) {
        found[expert] = has_slot(layer, expert);
    }
    return found;
}

void expert_storage::read_part(uint32_t layer, uint32_t expert, uint32_t part, uint8_t * into) {
    const uint64_t               bytes = all.layers[layer].parts[part].bytes;
    std::unique_lock<std::mutex> lock(mutex);
    if (!is_whole(layer, expert)) {
        lock.unlock();
        read_file(expert_place_of(all.layers[layer], expert, part), bytes, file_reader::priority::prefetch, into);
        return;
    }
    const uint8_t * from = part_in(hold(layer, expert), layer, expert, part);
    lock.unlock();
    std::memcpy(into, from, bytes);
    lock.lock();
    release(layer, expert);
}

void expert_storage::read_tensor(uint32_t layer, uint32_t part, uint64_t offset, uint64_t size, void * into) {
    const expert_part & of = all.layers[layer].parts[part];  // in the model's own order
    read_file({ of.file, of.offset + offset }, size, file_reader::priority::demand, into);
}

void expert_storage::read_file(expert_place place, uint64_t size, file_reader::priority urgency, void * into) {
    slot_memory                 room(file_reader::room_for(size));
    std::mutex                  done_mutex;
    std::condition_variable     done;
    std::optional<const char *> outcome;
    reader->read(place.file, place.offset, { size }, room.data(), urgency, [&](uint32_t, const char * failure) {
        const std::lock_guard<std::mutex> lock(done_mutex);
        outcome = failure;
        done.notify_all();
    });
    std::unique_lock<std::mutex> lock(done_mutex);
    done.wait(lock, [&] { return outcome.has_value(); });
    if (*outcome) {
        throw user_error("file.unreadable", all.files[place.file] + " could not be read: " + *outcome + ".", { { "path", all.files[place.file] } });
    }
    std::memcpy(into, room.data() + file_reader::shift_of(place.offset), size);
}

}  // namespace moebius
