// The routed experts of one model: on disk all of them, in RAM as many as its slots hold.
#pragma once

#include "expert-storage.h"
#include "super-expert-finder.h"

namespace moebius {

class expert_store : public expert_storage {
  public:
    // Throws file.unreadable, model.does-not-fit.
    expert_store(expert_layout layout, const expert_store_settings & settings);
    ~expert_store() override;

    const char *                          kind() const override { return "slots"; }
    expert_store_settings                 settings() const override;
    expert_cache_shape                    shape() const;
    uint64_t                              slot_bytes() const override;
    uint64_t                              least_bytes() const override { return expert_slots_least_bytes(all); }
    uint64_t                              most_bytes() const override { return expert_slots_most_bytes(all); }
    std::vector<uint32_t>                 layer_slots() const override { return shape().slots; }
    std::vector<std::vector<expert_tier>> tiers() const override;
    void                                  restart_counters() override;

    // A layer at a time between two batches of it: with less, the experts that the policy values least leave; with more, those that it
    // values most are read in the background.
    void resize(uint64_t ram_bytes) override;

    // Shares the RAM that there is for slots out anew: so many slots for each layer, brought within settings().ram_bytes as slots_within does,
    // with at least two for each. As resize, layers that lose slots first. Stands until the next resize. `wanted`: [layer].
    void share_out(const std::vector<uint32_t> & wanted);

    // Another name of cache_policy_names(); what is in RAM stays, what the old one has learnt is lost.
    void set_policy(const std::string & name);

    // What was proposed is read as far as it pays.
    void set_prefetch(bool on) override;
    // Of each predictor.
    std::vector<prefetch_report> prefetch_reports() const override;

    // Of this model, as it was remembered or has shown since, highest peak first; nullopt: not enough was seen to tell. Those that are protected stay in RAM,
    // with all the slots of a layer but two: the others are left to what the policy evicts.
    std::optional<std::vector<super_expert>> super_experts() const;
    bool                                     is_protected(expert_ref expert) const;
    // What an earlier life of the model has shown: read now, until this one has seen enough itself.
    void remember_super_experts(std::vector<super_expert> earlier);

    bool fill(const std::function<bool(uint64_t, uint64_t)> & go_on) override;

    // Experts that are there are kept, the others are read in the order given as slots become free; `uses` gets those that are there
    // first.
    void            begin(uint32_t layer, std::vector<expert_use> & uses) override;
    const uint8_t * wait(uint32_t layer, uint32_t expert, uint32_t part) override;
    // The slot may be used again.
    void            finish(uint32_t layer, uint32_t expert) override;

    // Whether anybody is asked: reading ahead is on, and not every expert is there.
    bool prefetches() const;

    // Layers ahead for which proposals of the predictor are wanted; 0: none.
    uint32_t prefetch_depth(expert_predictor by) const;

    // What the next batch that comes to the layer will probably use, the most probable first: read in the background as far as it pays. Any
    // thread, at any time.
    void propose(expert_predictor by, uint32_t layer, std::vector<foreseen_use> foreseen);

  private:
    struct entry {
        std::atomic<uint32_t> parts_here{ 0 };  // bits
        bool                  reading    = false;
        bool                  failed     = false;
        bool                  filling    = false;
        bool                  ahead      = false;  // its read was proposed
        uint32_t              waiting    = 0;      // threads
        uint32_t              pieces     = 0;      // of its read; see file_reader
        double                wanted     = 0.0;    // seconds, when its read was demanded; 0: it was not
        uint32_t              unpins_due = 0;  // when all of it has been read: by a prefetch, by users that did not need all of it
    };

    entry &         entry_of(uint32_t layer, uint32_t expert) { return entries[size_t(layer) * all.experts + expert]; }
    bool            is_whole(uint32_t layer, uint32_t expert) const override;
    bool            has_slot(uint32_t layer, uint32_t expert) const override { return cache.slot_of({ layer, expert }) != slot_cache::none; }
    const uint8_t * hold(uint32_t layer, uint32_t expert) override;
    void            release(uint32_t layer, uint32_t expert) override;
    uint8_t *       room(uint32_t layer, uint32_t slot) const { return memory[layer].data() + slot * expert_slot_bytes(all.layers[layer]); }
    const uint8_t * part_data(uint32_t layer, uint32_t expert, uint32_t part, uint32_t slot) const { return part_in(room(layer, slot), layer, expert, part); }
    void      set_slots(const std::vector<uint32_t> & slots, uint64_t ram_bytes);
    void      resize_layer(uint32_t layer, uint32_t slots);
    void      fill_free_slots();
    void      check_resident();
    void      start_read(uint32_t layer, uint32_t expert, uint32_t slot, file_reader::priority urgency);
    void      part_read(uint32_t layer, uint32_t expert, uint32_t part, const char * failure);
    void      read_whole(uint32_t layer, uint32_t expert);
    void      read_pending();
    void      read_early(uint32_t layer, uint32_t expert, uint32_t slot);
    void      read_proposed();
    void      withdraw_overtaken(uint32_t layer, const std::vector<expert_use> & uses);
    void      drop_if_failed(uint32_t layer, uint32_t expert);
    void      protect_super_experts();

    expert_store_settings                   current;
    bool                                    resident = false;  // every expert is there; changes under `session` only
    uint32_t                                reading  = 0;      // experts
    uint32_t                                reading_ahead = 0;  // of them, that were proposed
    uint32_t                                copying  = 0;      // matrices, by read_part
    bool                                    closing  = false;  // nothing more is read
    uint32_t                                filling  = 0;      // of them, into free slots; see fill_free_slots
    std::vector<slot_memory>                memory;        // [layer]
    std::vector<entry>                      entries;       // [layer][expert]
    slot_cache                              cache;
    prefetcher                              ahead_of;  // batches
    super_expert_finder                     supers;
    uint32_t                                pending_layer = 0;
    std::deque<uint32_t>                    pending;  // experts of that layer without a slot yet
};

}  // namespace moebius
