// How the engine would spread the routed experts of one layer over devices, CPU and disk: its own scheduler, asked about drawn batches. Pure.
#pragma once

#include "experts/policy/cost-model.h"

#include <cstdint>
#include <vector>

namespace moebius {

// Devices are numbered as in a rig: the CPU first.
struct spread_question {
    uint32_t                experts = 0, used = 0, tokens = 0;
    std::vector<uint32_t>   slots;         // [devices]
    double                  found   = 0;   // share of the uses whose expert has a copy on a GPU
    double                  missing = 0;   // share of the uses whose expert has to be read from disk
    std::vector<batch_cost> costs;         // [devices]
    batch_cost              read;          // from disk
    std::vector<double>     upload = {};   // [devices] seconds to copy an expert from RAM there for one batch; empty: nothing is fetched
};

struct layer_spread {
    double              seconds = 0;
    std::vector<double> share;  // [devices] of the uses; their sum is 1
};

// The mean over batches in which every token uses other experts, drawn anew from a fixed seed; copies are placed as for even load (replica-counts,
// replica-placement), work is split as policy/layer-schedule does. Batches of so many tokens that all experts are used alike are one.
layer_spread spread_layer(const spread_question & question);

// Seconds of the CPU for so many experts and, summed over them, tokens: those that are there are computed while `missing` others are read, the last of
// these when all others are done.
double cpu_with_disk(const batch_cost & cpu, const batch_cost & read, double experts, double tokens, double missing);

}  // namespace moebius
