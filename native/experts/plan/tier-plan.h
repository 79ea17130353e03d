// Which part of a model is on which device, and which experts have slots where. Pure.
#pragma once

#include "experts/store/expert-layout.h"

#include <cstdint>
#include <vector>

namespace moebius {

// Bytes of a model, without its routed experts.
struct plan_sizes {
    std::vector<uint64_t> blocks;         // [blocks] weights
    std::vector<uint64_t> kv;             // [blocks]
    uint64_t              embedding = 0;  // stays in RAM
    uint64_t              head      = 0;
    uint64_t              compute   = 0;  // of each device that computes; once more for one that computes experts of the store, too
};

// Bytes that may be used.
struct plan_rooms {
    std::vector<uint64_t> gpus;
    uint64_t              ram = 0;
};

struct device_need {
    uint64_t weights = 0, experts = 0, kv = 0, compute = 0;

    uint64_t sum() const { return weights + experts + kv + compute; }
};

// Devices are numbered: 0 is the CPU with its RAM, then the GPUs.
struct tier_plan {
    std::vector<uint32_t>              block_device;     // [blocks]
    uint32_t                           head_device = 0;
    std::vector<std::vector<uint32_t>> slots;            // [devices][layers of the layout] for experts
    std::vector<device_need>           needs;            // [devices]
    bool                               stored      = false;  // the expert store spreads experts over what has slots
};

// [layers] slots of all devices together, at most all experts.
std::vector<uint32_t> all_slots(const tier_plan & plan, uint32_t first_device, uint32_t experts);

}  // namespace moebius
