// Replays loads of experts on a described rig: how evenly do the devices work, and what has to be copied for it?
#pragma once

#include "experts/policy/layer-rig.h"
#include "load-batches.h"
#include "rebalancers.h"

#include <functional>

namespace moebius {

struct device_replay_settings {
    layer_rig   rig;
    std::string policy          = "adaptive";  // of rebalancer_names()
    uint32_t    window          = 8;           // batches; a placement that is decided at the end of one holds from the next one on
    double      capacity_factor = 1.0;
    low_precision_share low{};
};

// Of all batches and layers that have load, those before the first decision included.
struct device_replay_result {
    double   balance_mean     = 1.0;  // time of the slowest device over that of all if they worked evenly
    double   balance_worst    = 1.0;
    double   makespan         = 0.0;  // sum of the slowest devices' times: load per speed
    double   survived_devices = 1.0;  // share of assignments, if a device takes capacity_factor times its even share and drops the rest
    double   survived_copies  = 1.0;  // the same for each copy, with an even share of a slot: what training with a capacity factor does
    double   low_share        = 0.0;  // of the assignments, those that were computed in low precision
    uint64_t copies_moved     = 0;
    double   devices_per_token = 0.0;  // that a token's hidden state is sent to in a layer, and that send a sum back: what device_ffn transfers
    double   hops_per_token    = 0.0;  // devices of them that computed none of the token's experts in the layer below: what a rig would send that leaves hidden states where they are
    double   slow_rows        = 0.0;  // of the hidden states that are sent, the share that goes over links that take more than twice the time of the fastest
    uint32_t windows          = 0;
};

// `check` is called for every window and throws to stop. Throws request.invalid (check_rig).
device_replay_result replay_on_devices(const std::vector<load_batch> & batches, const device_replay_settings & settings, const std::function<void()> & check);

}  // namespace moebius
