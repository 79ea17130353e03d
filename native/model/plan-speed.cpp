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

// Hidden states that pass between devices: one row of floats for each token.
double bytes_moved(const planned_model & model, uint32_t tokens, const plan_placement & placement) {
    double   hops = 0;
    uint32_t last = 0;
    for (const uint32_t device : placement.block_device) {
        hops += device != last;
        last = device;
    }
    for (uint32_t layer = 0; layer < placement.share.size(); layer++) {
        const int32_t  block = model.layout().layers[layer].block;
        const uint32_t home  = size_t(block) < placement.block_device.size() ? placement.block_device[size_t(block)] : 0;
        const auto &   share = placement.share[layer];
        for (uint32_t d = 0; d < share.size(); d++) {
            hops += d != home && share[d] > 0 ? 2 : 0;
        }
    }
    return hops * tokens * double(llama_model_n_embd(model.get())) * sizeof(float);
}

expert_step price_experts(const planned_model & model, uint32_t layer, uint32_t tokens, const plan_machine & machine, const plan_placement & placement) {
    const expert_layout & layout = model.layout();
    expert_step           step;
    step.experts = distinct_experts(layout.experts, layout.used, tokens);
    step.tokens  = double(tokens) * layout.used;
    step.bytes   = expert_bytes(layout.layers[layer]);
    step.flops   = expert_operations(layout.layers[layer]);
    step.share   = (tokens == 1 ? placement.share : placement.spread)[layer];
    step.missing = tokens == 1 ? placement.missing[layer] : placement.absent[layer];
    step.read    = machine.read;
    for (size_t d = 0; d < machine.rig.size(); d++) {
        step.costs.push_back(machine.rig[d].expert_cost(step.bytes, step.flops));
    }
    if (machine.timers[0] && step.share[0] > 0) {
        node_timer & timer   = *machine.timers[0];
        const double seconds = timer.expert_seconds(layout, layer, tokens);
        const double fixed   = std::min(timer.graph_seconds(), seconds);
        step.costs[0]        = { fixed, (seconds - fixed) / step.experts, 0 };
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
    work.moved           = machine.rig.size() > 1 ? bytes_moved(model, tokens, placement) : 0;
    return work;
}

device_rates measure_rates(node_timer & timer, const std::string & id, ggml_type type) {
    return { id, timer.bandwidth(type), timer.flops(type), timer.link_bandwidth(), timer.node_seconds() };
}

}  // namespace moebius
