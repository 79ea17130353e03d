// Slots that all layers share and take in turn: for models whose experts are far more than the RAM, where a store of two slots a layer
// does not fit. (The ring memory of SE-MoE's inference, arXiv 2205.10034.)
//
// Who leaves a slot is who is needed latest as the layers go round: the layer that was just computed first. While a batch wants (nearly)
// all experts of a layer, as a long prompt does, the next layers' are read behind this one's, in the order of the file, as far as there
// are slots; a batch that wants few is served on demand only, since nobody knows which the next will be.
#pragma once

#include "expert-storage.h"

namespace moebius {

class expert_ring : public expert_storage {
  public:
    // settings: policy means nothing here. Throws file.unreadable, model.does-not-fit.
    expert_ring(expert_layout layout, const expert_store_settings & settings);
    ~expert_ring() override;

    const char *                          kind() const override { return "ring"; }
    expert_store_settings                 settings() const override;
    uint64_t                              slot_bytes() const override;
    uint64_t                              least_bytes() const override { return expert_ring_least_bytes(all); }
    uint64_t                              most_bytes() const override { return expert_ring_most_bytes(all); }
    std::vector<uint32_t>                 layer_slots() const override;
    std::vector<std::vector<expert_tier>> tiers() const override;
    void                                  resize(uint64_t ram_bytes) override;
    void                                  set_prefetch(bool on) override;
    std::vector<prefetch_report>          prefetch_reports() const override;
    void                                  restart_counters() override;
    bool                                  fill(const std::function<bool(uint64_t, uint64_t)> & go_on) override;

    void              begin(uint32_t layer, std::vector<expert_use> & uses) override;
    const uint8_t *   wait(uint32_t layer, uint32_t expert, uint32_t part) override;
    void              finish(uint32_t layer, uint32_t expert) override;

  private:
    static constexpr uint32_t nobody = UINT32_MAX;

    struct slot {
        uint32_t layer      = nobody;  // nobody: free
        uint32_t expert     = 0;
        uint32_t parts_here = 0;  // bits
        uint32_t pins       = 0;
        bool     reading    = false;
        bool     failed     = false;
        bool     ahead      = false;  // read before it was asked for, and not asked for since
    };

    bool            is_whole(uint32_t layer, uint32_t expert) const override;
    bool            has_slot(uint32_t layer, uint32_t expert) const override { return places[index(layer, expert)] != nobody; }
    const uint8_t * hold(uint32_t layer, uint32_t expert) override;
    void            release(uint32_t layer, uint32_t expert) override { unpin(places[index(layer, expert)]); }

    size_t    index(uint32_t layer, uint32_t expert) const { return size_t(layer) * all.experts + expert; }
    uint8_t * room(uint32_t slot) const { return memory.data() + slot * bytes_each; }
    uint32_t  turns_until(uint32_t layer) const;
    uint32_t  slot_to_leave(uint32_t turns) const;
    void      take(uint32_t slot, uint32_t layer, uint32_t expert, file_reader::priority urgency);
    void      leave(uint32_t slot);
    void      forget_what_was_ahead();
    void      read_on();
    void      read_ahead_on();
    void      part_read(uint32_t slot, uint32_t part, const char * failure);
    void      unpin(uint32_t slot);

    expert_store_settings              current;
    uint64_t                           bytes_each;  // of a slot
    slot_memory                        memory;
    std::vector<std::vector<uint32_t>> file_order;  // [layer][position] -> expert
    std::vector<slot>                  slots;
    std::vector<uint32_t>              places;      // [layer][expert] -> slot, nobody: none
    std::vector<uint32_t>              waiting;     // [layer][expert], threads
    uint32_t                           now     = 0;  // the layer that was begun last
    std::deque<uint32_t>               wanted;       // experts of that layer without a slot yet
    bool                               ahead   = false;
    std::vector<prefetch_counters>     foreseen;         // [layer]
    uint32_t                           reading = 0;  // slots
};

}  // namespace moebius
