// The routed experts of one model: on disk all of them, in RAM as many as its slots hold.
#pragma once

#include "experts/policy/slot-cache.h"
#include "expert-source.h"
#include "file-reader.h"
#include "slot-memory.h"

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>

namespace moebius {

struct expert_store_settings {
    uint64_t    ram_bytes = 0;       // for slots; at least two slots a layer
    std::string policy    = "lru";   // a name of cache_policy_names()
    uint32_t    readers   = 4;       // reads under way at a time
    read_ahead  ahead;               // for the layer that comes next, if the policy foresees anything
    std::vector<uint32_t> slots{};   // [layer], as expert_slots_for or expert_slots_shallow give them; empty: the former
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
    uint64_t                           bytes_read = 0;
    uint64_t                           prefetched = 0;  // experts read ahead

    expert_layer_counters total() const;
};

// Where an expert is: `moving` is on its way from disk to RAM.
enum class expert_tier : uint8_t { disk, moving, ram };

// Slots that `ram_bytes` buy for each layer: the same number everywhere, the rest to the first layers. Throws model.does-not-fit
// below two a layer: one that computes and one that is read.
std::vector<uint32_t> expert_slots_for(const expert_layout & layout, uint64_t ram_bytes);

// As many slots as that, more of them for shallow layers (slots_shallow), brought within `ram_bytes`.
std::vector<uint32_t> expert_slots_shallow(const expert_layout & layout, uint64_t ram_bytes);

// The least that expert_slots_for takes.
uint64_t expert_slots_least_bytes(const expert_layout & layout);

// RAM with which every expert has a slot.
uint64_t expert_slots_most_bytes(const expert_layout & layout);

// Bytes of RAM that one expert of a layer takes.
uint64_t expert_slot_bytes(const expert_layer & layer);

class expert_store : public expert_source {
  public:
    // Throws file.unreadable, model.does-not-fit.
    expert_store(expert_layout layout, const expert_store_settings & settings);
    ~expert_store() override;

    expert_store_settings       settings() const;
    expert_cache_shape          shape() const;
    expert_store_counters       counters() const;
    void                        restart_counters();
    uint64_t                    slot_bytes() const;
    // [layer][expert]
    std::vector<std::vector<expert_tier>> tiers() const;

    // Changes the RAM for slots while the store is used, a layer at a time between two batches of it: with less, the experts that the
    // policy values least leave; with more, those that it values most are read in the background. Throws model.does-not-fit.
    void resize(uint64_t ram_bytes);

    // Shares the RAM that there is for slots out anew: so many slots for each layer, brought within settings().ram_bytes as slots_within does,
    // with at least two for each. As resize, layers that lose slots first. Stands until the next resize. `wanted`: [layer].
    void share_out(const std::vector<uint32_t> & wanted);

    // Another name of cache_policy_names(); what is in RAM stays, what the old one has learnt is lost.
    void set_policy(const std::string & name);

    // Reads an expert into every slot, before the first batch: the memory is there then, and the first prompt finds something in it.
    // `go_on` hears bytes of bytes; false stops, and false is returned. Throws file.unreadable.
    bool fill(const std::function<bool(uint64_t, uint64_t)> & go_on);

    // Copies bytes [offset, offset + size) of a matrix of all experts from the file. Throws file.unreadable.
    void read_tensor(uint32_t layer, uint32_t part, uint64_t offset, uint64_t size, void * into);

    // Experts that are there are kept, the others are read in the order given as slots become free; `uses` gets those that are there
    // first.
    void            begin(uint32_t layer, std::vector<expert_use> & uses) override;
    const uint8_t * wait(uint32_t layer, uint32_t expert, uint32_t part) override;
    // The slot may be used again.
    void            finish(uint32_t layer, uint32_t expert) override;

    std::vector<bool> here(uint32_t layer) const override;
    // From RAM if it is there, else from the file.
    void              read_part(uint32_t layer, uint32_t expert, uint32_t part, uint8_t * into) override;

    std::string error() const override;

  private:
    struct entry {
        std::atomic<uint32_t> parts_here{ 0 };  // bits
        bool                  reading    = false;
        bool                  failed     = false;
        bool                  filling    = false;
        uint32_t              unpins_due = 0;  // when all of it has been read: by a prefetch, by users that did not need all of it
    };

    entry &   entry_of(uint32_t layer, uint32_t expert) { return entries[size_t(layer) * all.experts + expert]; }
    bool      is_whole(uint32_t layer, uint32_t expert) const;
    uint8_t * part_room(uint32_t layer, uint32_t slot, uint32_t part) const;
    uint8_t * part_data(uint32_t layer, uint32_t expert, uint32_t part, uint32_t slot) const;
    void      set_slots(const std::vector<uint32_t> & slots, uint64_t ram_bytes);
    void      resize_layer(uint32_t layer, uint32_t slots);
    void      fill_free_slots();
    void      check_resident();
    void      start_read(uint32_t layer, uint32_t expert, uint32_t slot, file_reader::priority urgency);
    void      part_read(uint32_t layer, uint32_t expert, uint32_t part, uint32_t file, const char * failure);
    void      read_whole(uint32_t layer, uint32_t expert);
    void      read_file(expert_place place, uint64_t size, file_reader::priority urgency, void * into);
    void      read_pending();
    void      read_early(uint32_t layer, uint32_t expert, uint32_t slot);
    void      drop_if_failed(uint32_t layer, uint32_t expert);

    expert_store_settings                   current;
    bool                                    resident = false;  // every expert is there; changes under `session` only
    uint32_t                                reading  = 0;      // experts
    uint32_t                                copying  = 0;      // matrices, by read_part
    bool                                    closing  = false;  // nothing more is read
    uint32_t                                filling  = 0;      // of them, into free slots; see fill_free_slots
    std::vector<slot_memory>                memory;        // [layer]
    std::vector<std::vector<uint64_t>>      part_offsets;  // [layer][part] in a slot
    std::vector<entry>                      entries;       // [layer][expert]
    mutable std::mutex                      mutex;
    std::condition_variable                 arrived;
    slot_cache                              cache;
    uint32_t                                pending_layer = 0;
    std::deque<uint32_t>                    pending;  // experts of that layer without a slot yet
    expert_store_counters                   counted;
    uint64_t                                bytes_read_before = 0;  // counting began
    std::string                             last_error;
    std::unique_ptr<file_reader>            reader;  // the last: its threads use all of the above
};

}  // namespace moebius
