// Decides, window by window, which copies of a layer's experts are where, from the load that was observed (SwiftMoE's idea, arXiv
// 2504.19925, with a placement of its own). Pure; the engine's and the simulator's.
#pragma once

#include "replica-placement.h"

namespace moebius {

struct replica_controller_settings {
    double   memory       = 0.5;   // weight of the past windows against the last one
    uint32_t samples      = 6;     // latest batches of the window that a placement is tried on
    uint32_t steps        = 24;    // copies that a window may move to improve a placement
    double   least_gain   = 0.01;  // of the balance, for anything to move
    double   copy_cost    = 0.0;   // time that moving one copy takes, in times of computing a window with its load spread evenly
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

    // Tokens of each expert [experts] in one batch.
    void observe(const std::vector<uint32_t> & tokens);

    // The end of a window: the placement for the next one, which stays what it is when a change would not pay for the copies within a
    // window. Batches of the next window are expected to be like those of the last ones.
    replica_decision decide();

  private:
    std::vector<std::vector<double>> expected() const;

    layer_rig                        rig;
    replica_controller_settings      settings;
    layer_placement                  current;
    std::vector<double>              average;  // [experts], of windows
    std::vector<double>              window;   // [experts]
    std::vector<std::vector<double>> batches;  // of the window, spread over it
};

}  // namespace moebius
