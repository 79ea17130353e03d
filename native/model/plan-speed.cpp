#include "plan-speed.h"

#include <algorithm>

namespace moebius {

namespace {

// What the engine does besides the graph, seen on one core of a server of 2023: batch, masks, reading routes, text, frames; sampling looks at
// the whole vocabulary.
constexpr double seconds_a_step   = 60e-6;
constexpr double seconds_a_prompt = 600e-6;
constexpr double seconds_a_token  = 2e-6;
constexpr double seconds_a_logit  = 5e-9;

double engine_seconds(const planned_model & model, uint32_t tokens) {
    const double logits = double(llama_vocab_n_tokens(llama_model_get_vocab(model.get())));
    return (tokens > 1 ? seconds_a_prompt : seconds_a_step) + tokens * seconds_a_token + logits * seconds_a_logit;
}

uint32_t device_of_item(const graph_item & item, const plan_placement & placement) {
    if (item.block >= 0 && size_t(item.block) < placement.block_device.size()) {
        return placement.block_device[size_t(item.block)];
    }
    return item.node->op == GGML_OP_GET_ROWS ? 0 : placement.head_device;
}

// Hidden states that pass between devices: one row of floats for each token. What experts of the store take over a link is part of their cost where
// that is measured.
double bytes_moved(const planned_model & model, uint32_t tokens, const plan_machine & machine, const plan_placement & placement, const std::vector<expert_step> & experts) {
    double   hops = 0;
    uint32_t last = 0;
    for (const uint32_t device : placement.block_device) {
        hops += device != last;
        last = device;
    }
    for (uint32_t layer = 0; layer < experts.size(); layer++) {
        const int32_t  block  = model.layout().layers[layer].block;
        const uint32_t around = size_t(block) < placement.block_device.size() ? placement.block_device[size_t(block)] : 0;
        const bool     stored = placement.experts[layer].stored;
        hops += stored && around != 0 ? 2 : 0;  // the store works in RAM, and its devices from there
        for (uint32_t d = 0; d < experts[layer].share.size(); d++) {
            const bool elsewhere = d != (stored ? 0 : around) && !(stored && machine.timers[d]);
            hops += elsewhere && experts[layer].share[d] > 0 ? 2 : 0;
        }
    }
    return hops * tokens * double(llama_model_n_embd(model.get())) * sizeof(float);
}

expert_step price_experts(const planned_model & model, uint32_t layer, uint32_t tokens, const plan_machine & machine, const plan_placement & placement) {
    const expert_layout &     layout = model.layout();
    const expert_place_plan & place  = placement.experts[layer];
    const bool                single = tokens == 1;
    expert_step               step;
    step.experts = distinct_experts(layout.experts, layout.used, tokens);
    step.tokens  = double(tokens) * layout.used;
    step.bytes   = expert_bytes(layout.layers[layer]);
    step.flops   = expert_operations(layout.layers[layer]);
    step.missing = single ? place.missing : place.absent;
    step.read    = machine.read;
    for (size_t d = 0; d < machine.rig.size(); d++) {
        node_timer * timer = d > 0 && place.stored && place.slots[d] > 0 ? machine.timers[d].get() : nullptr;
        step.costs.push_back(timer ? timer->device_experts(layout, layer) : machine.rig[d].expert_cost(step.bytes, step.flops));
    }
    const uint32_t holders = uint32_t(std::count_if(place.slots.begin(), place.slots.end(), [](uint32_t slots) { return slots > 0; }));
    if (machine.timers[0] && (place.slots[0] > 0 || place.stored)) {
        node_timer & timer   = *machine.timers[0];
        const double seconds = timer.expert_seconds(layout, layer, tokens);
        const double fixed   = std::min(timer.graph_seconds(), seconds);
        step.costs[0]        = { fixed, (seconds - fixed) / step.experts, 0 };
    }
    step.share.assign(machine.rig.size(), 0.0);
    const auto holder = std::max_element(place.slots.begin(), place.slots.end());
    step.share[size_t(holder - place.slots.begin())] = 1;
    if (place.stored && holders > 1) {
        const layer_spread spread = spread_layer({ layout.experts, layout.used, tokens, place.slots, single ? place.found : place.copied, step.missing, step.costs, step.read });
        step.share   = spread.share;
        step.seconds = spread.seconds;
    }
    return step;
}

}  // namespace

step_work price_step(planned_model & model, uint32_t tokens, uint32_t context, const plan_machine & machine, const plan_placement & placement) {
    const planned_graph graph = model.graph(tokens, context);
    step_work           work;
    double              working_set = 0;  // what passes through the caches between two uses of a weight
    for (const graph_item & item : graph.items) {
        working_set += item.bytes;
    }
    for (const uint32_t layer : graph.fused) {
        work.experts.push_back(price_experts(model, layer, tokens, machine, placement));
        working_set += work.experts.back().experts * work.experts.back().bytes;
    }
    for (const graph_item & item : graph.items) {
        step_part part;
        part.device  = device_of_item(item, placement);
        part.bytes   = item.bytes;
        part.flops   = item.flops;
        node_timer * timer = machine.timers[part.device].get();
        part.seconds = timer ? timer->seconds(item.node, working_set, context) : machine.rig[part.device].seconds_for(item.bytes, item.flops);
        work.parts.push_back(part);
    }
    const uint32_t plain = graph.pieces - std::min(graph.pieces, uint32_t(graph.fused.size()));
    work.overhead        = plain * (machine.timers[0] ? machine.timers[0]->graph_seconds() : machine.rig[0].node_seconds) + engine_seconds(model, tokens);
    work.moved           = machine.rig.size() > 1 ? bytes_moved(model, tokens, machine, placement, work.experts) : 0;
    return work;
}

device_rates measure_rates(node_timer & timer, const std::string & id, ggml_type type) {
    return { id, timer.bandwidth(type), timer.flops(type), timer.link_bandwidth(), timer.node_seconds() };
}

}  // namespace moebius
