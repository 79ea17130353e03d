// Decides, window by window, which copies of a layer's experts are where, from the load that was observed (SwiftMoE's idea, arXiv
// 2504.19925, with a placement of its own). Pure; the engine's and the simulator's.
//
// Where the devices have fewer slots than there are experts, the busiest ones have a copy and the others none.
#pragma once

#include "expert-affinity.h"
#include "layer-rig.h"

namespace moebius {

struct replica_controller_settings {
    double   memory      = 0.7;         // weight of the past windows against the last one, at most
    uint32_t samples     = 6;           // latest batches that a placement is improved for
    uint32_t steps       = 16;          // copies that may move for that, beyond what the counts ask for
    uint32_t most_copies = UINT32_MAX;  // that may be made in a window: what the links can do meanwhile
    double   gain        = 1.2;         // an expert without a copy takes the place of one that is this many times less busy
};

struct replica_decision {
    layer_placement placement;
    uint32_t        moved = 0;  // copies that must be made
};

class replica_controller {
  public:
    // Begins with the counts and the packing of an even load. Throws request.invalid (check_rig).
    replica_controller(uint32_t experts, layer_rig rig, const replica_controller_settings & settings = {});

    const layer_placement & placement() const { return current; }
    // [experts], average tokens of a window.
    const std::vector<double> & loads() const { return average; }

    // Tokens of each expert [experts] in one batch, and which they are. Without routes nothing is learnt of who works together.
    void observe(const std::vector<uint32_t> & tokens, const token_routes & routes);

    // The end of a window: the placement for the next one. Counts follow the average load, copies stay where they are as far as that
    // goes, and what is still uneven in the latest batches is improved. Popular experts have many copies then, which is what makes the
    // split of a batch even that nobody foresaw. Of devices that are equally good for a copy it goes where more of its tokens go already.
    replica_decision decide();

    // Other slots or speeds, the same devices: where there are fewer slots, the copies with the least load leave. `decide` fills what is free.
    const layer_placement & change(layer_rig rig);

    // Experts that shall have no copy here [experts], or empty: all may. Theirs leave at once.
    const layer_placement & keep_out(std::vector<bool> experts);

  private:
    // Against the window: as much as chance explains its difference from the average (James and Stein 1961). Where loads have jumped, the past is forgotten.
    double                           past_weight() const;
    std::vector<std::vector<double>> expected() const;
    std::vector<uint32_t>            choose() const;
    void                             drop_beyond(uint32_t device);
    bool                             is_kept_out(size_t expert) const { return !kept_out.empty() && kept_out[expert]; }
    bool                             has_all() const;

    layer_rig                        rig;
    replica_controller_settings      settings;
    layer_placement                  current;
    std::vector<double>              average;  // [experts], of windows
    std::vector<double>              window;   // [experts]
    std::vector<std::vector<double>> batches;  // of the window, spread over it
    expert_affinity                  affinity;
    std::vector<bool>                kept_out;  // [experts], or empty
};

}  // namespace moebius
