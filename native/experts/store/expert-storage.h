// Routed experts of a model that are all of them in files and in RAM only as many as there is room for: what an expert_store (slots for
// every layer) and an expert_ring (slots that the layers take in turn) have in common.
#pragma once

#include "experts/policy/prefetcher.h"
#include "expert-slots.h"
#include "expert-source.h"
#include "file-reader.h"
#include "slot-memory.h"

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>

namespace moebius {

struct expert_store_settings {
    uint64_t    ram_bytes = 0;       // for slots; at least what the storage needs
    std::string policy    = "lru";   // a name of cache_policy_names(); of an expert_store
    uint32_t    readers   = 4;       // reads under way at a time
    bool        prefetch  = true;    // whether experts are read before they are asked for
    std::vector<uint32_t> slots{};   // [layer], as expert_slots_for or expert_slots_shallow give them; empty: the former; of an expert_store
};

// Of one layer, since the last restart_counters. Uses are counted once per batch and expert.
struct expert_layer_counters {
    uint64_t hits       = 0;  // the expert was in RAM
    uint64_t late       = 0;  // it was on its way
    uint64_t misses     = 0;  // it had to be read
    uint64_t stalled_us = 0;  // threads could do nothing but wait for the disk, summed over them
};

struct expert_store_counters {
    std::vector<expert_layer_counters> layers;
    uint64_t                           bytes_read   = 0;
    uint64_t                           bytes_hidden = 0;  // of them, those of matrices that came before anybody had to wait for them

    expert_layer_counters total() const;
};

// Where an expert is: `moving` is on its way from disk to RAM.
enum class expert_tier : uint8_t { disk, moving, ram };

class expert_storage : public expert_source {
  public:
    // "slots" or "ring"
    virtual const char * kind() const = 0;

    virtual expert_store_settings settings() const   = 0;
    virtual uint64_t              slot_bytes() const = 0;
    // Bytes of RAM that it can be given, at least and at most.
    virtual uint64_t              least_bytes() const = 0;
    virtual uint64_t              most_bytes() const  = 0;
    // Slots of each layer; in a ring, those that its experts are in now.
    virtual std::vector<uint32_t> layer_slots() const = 0;
    // [layer][expert]
    virtual std::vector<std::vector<expert_tier>> tiers() const = 0;

    // Changes the RAM for slots while the storage is used. Throws model.does-not-fit.
    virtual void resize(uint64_t ram_bytes) = 0;

    // From now on: whether experts are read before they are asked for.
    virtual void set_prefetch(bool on) = 0;
    // What was read ahead, on whose word, and what came of it.
    virtual std::vector<prefetch_report> prefetch_reports() const = 0;

    // Reads experts into the slots, before the first batch: the memory is there then, and the first prompt finds something in it.
    // `go_on` hears bytes of bytes; false stops, and false is returned. Throws file.unreadable.
    virtual bool fill(const std::function<bool(uint64_t, uint64_t)> & go_on) = 0;

    // Experts of a layer [experts] that `wait` would give at once.
    std::vector<bool> here(uint32_t layer) const;
    // Experts of a layer [experts] that are there or on their way, so that nothing more would have to be read for them.
    std::vector<bool> at_hand(uint32_t layer) const;
    // Copies a matrix of an expert, expert_part::bytes: from RAM if all of it is there, else from the file. Throws file.unreadable.
    void read_part(uint32_t layer, uint32_t expert, uint32_t part, uint8_t * into);
    // Copies bytes [offset, offset + size) of a matrix of all experts from the file. Throws file.unreadable.
    void read_tensor(uint32_t layer, uint32_t part, uint64_t offset, uint64_t size, void * into);

    expert_store_counters counters() const;
    virtual void          restart_counters();
    std::string           error() const override;

  protected:
    // Throws file.unreadable.
    expert_storage(expert_layout layout, uint32_t readers);

    // Under `mutex`.
    virtual bool            is_whole(uint32_t layer, uint32_t expert) const = 0;
    virtual bool            has_slot(uint32_t layer, uint32_t expert) const = 0;
    // Under `mutex`: a whole expert stays in its slot, which is returned, until `release`.
    virtual const uint8_t * hold(uint32_t layer, uint32_t expert)    = 0;
    virtual void            release(uint32_t layer, uint32_t expert) = 0;
    // Starts to read all matrices of an expert into a slot. `done` hears each of them, on a reader thread. Gives the number of pieces, see file_reader.
    uint32_t read_expert(uint32_t layer, uint32_t expert, uint8_t * slot, file_reader::priority urgency,
                         const std::function<void(uint32_t part, const char * failure)> & done);
    // Where a matrix comes to lie in a slot.
    const uint8_t * part_in(const uint8_t * slot, uint32_t layer, uint32_t expert, uint32_t part) const;
    // Reads and waits. Throws file.unreadable.
    void            read_file(expert_place place, uint64_t size, file_reader::priority urgency, void * into);
    // Under `mutex`.
    void            note_failure(uint32_t layer, uint32_t expert, uint32_t part, const char * failure);
    static double           seconds_now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }
    // Under `mutex`: waits until `here`, counts the time and gives it in seconds.
    template <typename Here> double stall_until(std::unique_lock<std::mutex> & lock, uint32_t layer, Here && here) {
        const double before = seconds_now();
        arrived.wait(lock, here);
        const double waited = seconds_now() - before;
        counted.layers[layer].stalled_us += uint64_t(waited * 1e6);
        return waited;
    }

    std::vector<std::vector<uint64_t>> part_offsets;  // [layer][part] in a slot, and the end
    mutable std::mutex                 mutex;
    std::condition_variable            arrived;
    expert_store_counters              counted;
    std::string                        last_error;
    std::unique_ptr<file_reader>       reader;  // its threads call into the derived class, which resets it before it goes

  private:
    uint64_t bytes_read_before = 0;  // counting began
};

}  // namespace moebius
