// Batches under a placement, and what they would take with a copy elsewhere. Pure.
#pragma once

#include "layer-rig.h"

namespace moebius {

// On a device the copy of one expert makes room for one of another.
struct exchange {
    static constexpr uint32_t nowhere = UINT32_MAX;

    uint32_t device = 0, leaves = 0, comes = 0;
    uint32_t back      = nowhere;  // where `comes` was and `leaves` goes, which has no other copy
    double   imbalance = 0;        // with it

    uint32_t   copies() const { return back == nowhere ? 1 : 2; }
    device_set of_leaving(const layer_placement & placement) const { return (placement[leaves] & ~(1u << device)) | (back == nowhere ? 0 : 1u << back); }
    device_set of_coming(const layer_placement & placement) const { return (placement[comes] | 1u << device) & ~(back == nowhere ? 0 : 1u << back); }

    void make(layer_placement & placement) const {
        placement[leaves] = of_leaving(placement);
        placement[comes]  = of_coming(placement);
    }
};

// For every set of devices the load that only these can compute (as split_makespan), which an exchange changes for some of the sets. Times are over that of a perfect balance.
class placed_batches {
  public:
    // samples: [sample][experts], loads; those without any are left out.
    placed_batches(const std::vector<std::vector<double>> & samples, layer_placement placement, const layer_rig & rig);

    // Mean over the batches of the slowest set's time; 1 if there are none.
    double imbalance() const;
    double imbalance_with(const exchange & one) const;

    // The load that has to go from one device to another for the mean batch to be the quickest that it can be by this.
    double best_shift(uint32_t from, uint32_t to) const;

    // The set of devices that is slowest, in the batch in which it is slowest; 0: there is nothing to compute.
    device_set bottleneck() const;

    void make(const exchange & one);
    // Devices that have nothing to do with it any more. Copies there are forgotten: of an expert that others have, too, all goes to them.
    void leave_out(device_set devices);

    const layer_placement &     placement() const { return at; }
    const std::vector<double> & mean_loads() const { return mean.loads; }  // [experts]

  private:
    struct batch {
        std::vector<double> loads;  // [experts]
        std::vector<double> only;   // [sets of devices]
    };

    void   add(const std::vector<double> & sample, double scale);
    void   count();
    void   count(batch & each) const;
    double time_of(const batch & each, size_t set) const { return each.only[set] * paces[set]; }
    size_t slowest(const batch & each) const;

    layer_placement     at;
    std::vector<double> paces;  // [sets of devices], 1 / speed
    std::vector<batch>  batches;
    batch               mean;
};

}  // namespace moebius
