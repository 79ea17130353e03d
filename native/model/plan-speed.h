// Seconds of one evaluation of a planned model: every node of its graph, priced where the plan puts it.
#pragma once

#include "experts/plan/step-forecast.h"
#include "plan-graph.h"
#include "plan-timer.h"

namespace moebius {

// The machine that a plan is for. Devices are numbered as in `rig`, the CPU first.
struct plan_machine {
    std::vector<device_rates>                rig;
    std::vector<std::shared_ptr<node_timer>> timers;  // [devices] that measure; null: its rates tell
    batch_cost                               read;    // of experts from disk
};

// Where the experts of one layer are. Devices are numbered as in the rig.
struct expert_place_plan {
    std::vector<uint32_t> slots;         // [devices]
    bool                  stored  = false;  // the store spreads them; else llama.cpp computes all where they are
    double                found   = 0;  // share of a single token's experts that have a copy on a GPU
    double                missing = 0;  // share of them that has to be read from disk
    double                copied  = 0;  // of all experts: those with a copy on a GPU
    double                absent  = 0;  // share of a prompt's experts that has to be read from disk
    double                distinct = 1;  // experts that a batch of a prompt uses, over those that it would if all were used alike
};

// Where a model is.
struct plan_placement {
    std::vector<uint32_t>          block_device;   // [blocks] of attention, norms and all else that is no routed expert
    uint32_t                       head_device = 0;  // of the output layer
    std::vector<expert_place_plan> experts;        // [layers of the layout]
};

// One llama_decode on every device of a machine, before it is known which computes what.
struct step_prices {
    uint32_t                            tokens   = 0;
    std::vector<std::vector<step_part>> blocks;      // [blocks][devices] all nodes of a block but routed experts
    std::vector<step_part>              head;        // [devices]
    step_part                           embedding;   // on the CPU
    std::vector<planned_ffn>            experts;     // priced by price_experts
    double                              overhead = 0;
};

// Of `tokens` tokens when `context` tokens, they among them, are in the KV cache. used: [devices] that are priced.
step_prices price_step(planned_model & model, uint32_t tokens, uint32_t context, const plan_machine & machine, const std::vector<bool> & used);

// The routed experts of one layer.
expert_step price_experts(const planned_model & model, const planned_ffn & ffn, const plan_machine & machine, const expert_place_plan & place);

// Times that hidden states pass a link for the experts of a layer that the store spreads, besides to RAM and back.
uint32_t hops_of_experts(const expert_step & step, const plan_machine & machine);

// Seconds in which the hidden states of `tokens` tokens pass a link once.
double hop_seconds(const planned_model & model, uint32_t tokens, const plan_machine & machine);

// The step when everything is where `placement` says, on devices that were priced.
step_work work_of(const planned_model & model, const step_prices & prices, const plan_machine & machine, const plan_placement & placement);

// What nodes on the CPU of this machine show of it: the types of the model's experts, or of its other weights where it has none.
device_rates measure_rates(node_timer & timer, const std::string & id, ggml_type type);

}  // namespace moebius
