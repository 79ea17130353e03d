// How long one evaluation of a model takes, and which part of the machine is the limit (the idea of MoE-Lens, arXiv 2504.09345). Pure.
//
// A step is one llama_decode: nodes of llama.cpp's graph one after the other, and the routed experts of each layer, which devices, CPU and disk
// work on at the same time.
#pragma once

#include "layer-spread.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace moebius {

// What a device does in a second. A rig of devices is a list of these, the CPU with its RAM first.
struct device_rates {
    std::string id;
    double      bandwidth    = 0;  // bytes from its memory
    double      flops        = 0;  // of products with quantised matrices
    double      link         = 0;  // bytes between its memory and RAM; 0: it works in RAM
    double      node_seconds = 0;  // that every node costs besides
    double      wait_seconds = 0;  // until a few bytes that were asked for are in RAM
    double      read_seconds = 0;  // that one more of these costs when several are asked for

    // Of one node. Reading weights and computing overlap.
    double seconds_for(double bytes, double operations) const;
    // Of experts of `bytes` with `operations` for each token.
    batch_cost expert_cost(double bytes, double operations) const;
};

// Nodes of the graph that take equally long, on one device.
struct step_part {
    uint32_t device  = 0;  // of the rig
    uint32_t count   = 1;
    double   bytes   = 0;  // of weights and KV cache, of one
    double   flops   = 0;  // of one
    double   seconds = 0;  // of one
};

// The routed experts of one layer.
struct expert_step {
    double                  experts = 0;  // distinct ones
    double                  tokens  = 0;  // summed over them
    double                  bytes   = 0;  // of one expert
    double                  flops   = 0;  // for one token of one expert
    std::vector<double>     share;        // [devices] of the experts that are computed there, the CPU first; their sum is 1
    double                  missing = 0;  // share of all experts that the CPU computes after reading them from disk
    std::vector<batch_cost> costs;        // [devices]
    batch_cost              read;         // of so many experts at once, from disk
    std::optional<double>   seconds;      // if several devices share the work: see spread_layer
};

struct step_work {
    std::vector<step_part>   parts;
    std::vector<expert_step> experts;       // [layers]
    double                   overhead = 0;  // seconds in which nothing of the above is done
    double                   moved    = 0;  // bytes over links, one after the other with the rest
};

// A resource, and the seconds that it would take if everything else were free.
struct step_limit {
    std::string resource;  // "disk", "link", "overhead", "<device> bandwidth", "<device> compute"; the CPU's bandwidth is "RAM bandwidth"
    double      seconds = 0;
};

struct step_forecast {
    double                  seconds = 0;
    std::vector<step_limit> limits;  // descending: the first is the bottleneck
};

// Of one layer: its `seconds`, else devices side by side, while the CPU computes what is there and the rest is read. What has to be read is
// binomial where few experts are used.
double expert_seconds(const expert_step & step);

// Bytes a second of the slowest link; 0: there is none.
double slowest_link(const std::vector<device_rates> & rig);

// rig: the devices that `work` counts; the CPU first. Not empty.
step_forecast forecast_step(const step_work & work, const std::vector<device_rates> & rig);

// Distinct experts that `tokens` tokens use, each of them `used` of `experts`, all equally often.
double distinct_experts(double experts, double used, double tokens);

}  // namespace moebius
