// Which devices hold attention (with norms, KV cache and all else that is no routed expert) and which hold routed experts, each chosen by itself, as in
// MoE parallel folding (arXiv 2504.14960). Pure.
#pragma once

#include "tier-plan.h"

#include <functional>

namespace moebius {

// One way to split a model. It is what load options say, too: blocks are gpuLayers and tensorSplit, copies are expertDevices.
struct fold {
    std::vector<uint32_t> blocks;             // [GPUs] of the model's last blocks, one run after the other; the first blocks stay in RAM
    bool                  whole     = false;  // llama.cpp loads experts where their block is; else the expert store spreads them:
    std::vector<uint32_t> copies;             // [GPUs] experts of every layer that have a copy there
    uint64_t              ram_bytes = 0;      // of RAM for experts
    double                seconds   = 0;

    uint32_t blocks_on_gpus() const;
    // LoadOptions' gpuLayers, the output layer among them, and tensorSplit.
    uint32_t              gpu_layers() const;
    std::vector<uint32_t> tensor_split() const;
};

// Seconds of one and the same work on every device; devices are numbered as in a rig, the CPU first.
struct fold_costs {
    std::vector<std::vector<double>> blocks;    // [blocks][devices] without routed experts
    std::vector<double>              head;      // [devices]
    std::vector<std::vector<double>> whole;     // [layers of the layout][devices] routed experts of a layer on one device
    double                           hop  = 0;  // hidden states from one device to another
    double                           rest = 0;  // that no split changes
    // Routed experts of all layers, spread by the store, with what they take over links.
    std::function<double(const std::vector<uint32_t> & copies, uint64_t ram_bytes)> spread;
};

struct folding {
    fold     best;
    fold     coupled;    // the best of those that give a device the same share of attention and of experts: whole layers, or copies in proportion to blocks
    uint32_t tried = 0;  // that fit
};

// Tries every split of blocks with every number of copies; where that would be too many, in steps. At most devices_most GPUs. Throws
// model.does-not-fit when no split fits, with need and have of the RAM.
folding fold_best(const plan_sizes & sizes, const expert_layout & layout, const plan_rooms & rooms, const fold_costs & costs);

// Splits that are tried, the first of them on no GPU. At most some hundred.
std::vector<std::vector<uint32_t>> fold_block_splits(uint32_t blocks, uint32_t gpus);
std::vector<std::vector<uint32_t>> fold_copy_splits(uint32_t experts, uint32_t gpus);

// RAM for experts of every split that is not `whole`: what is left when all blocks stay there, but at least what the store needs.
uint64_t fold_ram_bytes(const plan_sizes & sizes, const expert_layout & layout, const plan_rooms & rooms);

// Copies in the proportion of the blocks.
std::vector<uint32_t> fold_coupled_copies(const std::vector<uint32_t> & blocks, uint32_t all_blocks, uint32_t experts);

// Where everything is.
tier_plan fold_to_plan(const fold & split, const plan_sizes & sizes, const expert_layout & layout);

}  // namespace moebius
