// Copies of one layer's experts in slots of devices: which are there, which are wanted, and who is in which slot. Pure; a device_tier moves the bytes.
#pragma once

#include "experts/policy/replica-moves.h"
#include "experts/policy/slot-cache.h"

#include <optional>

namespace moebius {

class layer_copies {
  public:
    static constexpr uint32_t none = UINT32_MAX;

    struct copy {
        uint32_t device, expert;
    };
    using residents = std::vector<uint32_t>;  // [slots of a device], the expert in it or `none`

    // slots: [devices]. Nothing is there, and nothing wanted.
    layer_copies(uint32_t experts, const std::vector<uint32_t> & slots);

    const layer_placement &                    there() const { return ready; }
    const layer_placement &                    wanted() const { return wants; }
    const std::vector<std::vector<uint32_t>> & slots() const { return where; }  // [devices][experts], `none`: there is no copy
    uint32_t                                   size(uint32_t device) const { return uint32_t(in[device].size()); }
    // [devices], slots that `want` may fill: between `empty` and `refill` those that there will be.
    const std::vector<uint32_t> &              counts() const { return most; }

    void want(layer_placement placement) { wants = std::move(placement); }
    void want_no_more(copy which) { wants[which.expert] &= ~(1u << which.device); }

    // Of the copies that are wanted and not there one that leaves no expert without a copy, and of these the one by which devices can compute the most more; or else the one by which they
    // can compute the least less. loads: [experts], what there is to compute.
    //
    // Where experts change places and no slot is free one expert of the layer, and never more, has no copy until those of its circle are made. Nobody waits for it: devices hold copies of
    // what a storage has in RAM or on disk, from where the CPU computes an expert that is on no device.
    std::optional<copy> lacking(const std::vector<double> & loads) const;
    uint32_t            missing() const { return copies_to_move(ready, wants); }
    // For what is lacking on a device: free, or else of an expert that is not wanted there; one that has other copies, or else the idlest.
    uint32_t            slot_for(uint32_t device, const std::vector<double> & loads) const;
    void                put(copy which, uint32_t slot);
    // Whoever is in the slot leaves. False: it was free.
    bool                withdraw(uint32_t device, uint32_t slot);

    // --- another number of slots

    // All leave the device, which is to have `count` slots. Gives who was where.
    residents              empty(uint32_t device, uint32_t count);
    // Of them those that are still wanted, into the first of the device's slots, in their order.
    std::vector<slot_move> kept(uint32_t device, const residents & before) const;
    // Whoever moved is there, in `count` slots.
    static residents       moved(const residents & before, const std::vector<slot_move> & moves, uint32_t count);
    // The device has these slots now.
    void                   refill(uint32_t device, const residents & now);

  private:
    double needed(uint32_t expert, uint32_t device, const std::vector<double> & loads) const;

    layer_placement                    ready, wants;
    std::vector<std::vector<uint32_t>> where;  // [devices][experts]
    std::vector<residents>             in;     // [devices]
    std::vector<uint32_t>              most;   // [devices]
};

}  // namespace moebius
