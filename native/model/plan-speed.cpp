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

double hidden_bytes(const planned_model & model, uint32_t tokens) {
    return tokens * double(llama_model_n_embd(model.get())) * sizeof(float);
}

// Of one more node: `all` counts them and holds their mean.
void add_node(step_part & all, const graph_item & item, double seconds) {
    const double before = all.count, count = before + 1;
    all.bytes           = (all.bytes * before + item.bytes) / count;
    all.flops           = (all.flops * before + item.flops) / count;
    all.seconds         = (all.seconds * before + seconds) / count;
    all.count++;
}

step_part no_nodes(uint32_t device) {
    step_part none;
    none.device = device;
    none.count  = 0;
    return none;
}

bool is_computed_elsewhere(const expert_place_plan & place, uint32_t device) {
    return place.stored ? device != 0 : place.slots[device] == 0;
}

// Of a device that is not the CPU: a piece of the graph is sent and its end is waited for.
double piece_seconds(const plan_machine & machine, uint32_t device) {
    return machine.timers[device] ? machine.timers[device]->graph_seconds() : machine.rig[device].wait_seconds;
}

double piece_in_turn_seconds(const plan_machine & machine, uint32_t device) {
    return machine.timers[device] ? machine.timers[device]->piece_seconds() : machine.rig[device].wait_seconds;
}

// What devices wait for besides computing and bytes: pieces of the graph that begin and end, values that others go on with, and those that show the routing.
double waits(const planned_model & model, const step_prices & prices, const plan_machine & machine, const plan_placement & placement) {
    std::vector<const expert_place_plan *> experts(placement.block_device.size(), nullptr);
    for (const planned_ffn & ffn : prices.experts) {
        experts[size_t(model.layout().layers[ffn.layer].block)] = &placement.experts[ffn.layer];
    }
    double   seconds = 0;
    uint32_t last    = 0;
    for (size_t b = 0; b < experts.size(); b++) {
        const uint32_t device = placement.block_device[b];
        const double   wait   = machine.rig[device].wait_seconds;
        if (device != last) {
            seconds += wait + machine.rig[last].wait_seconds;  // the hidden state
            seconds += device != 0 ? piece_seconds(machine, device) : 0;
        }
        last = device;
        if (!experts[b] || device == 0) {
            continue;
        }
        seconds += model.observed() ? 2 * machine.rig[device].read_seconds : 0;  // ids and weights, all layers' at once
        if (is_computed_elsewhere(*experts[b], device)) {  // hidden state, ids and weights there, the result back
            seconds += 4 * wait + piece_in_turn_seconds(machine, device);
        }
    }
    return seconds;
}

// Hidden states that pass between devices: one row of floats for each token.
double bytes_moved(const planned_model & model, const step_prices & prices, const plan_machine & machine, const plan_placement & placement, const std::vector<expert_step> & experts) {
    double   hops = 0;  // of one token
    uint32_t last = 0;
    for (const uint32_t device : placement.block_device) {
        hops += device != last ? prices.tokens : 0;
        last = device;
    }
    for (size_t i = 0; i < experts.size(); i++) {
        const auto [layer, tokens] = prices.experts[i];
        const int32_t block        = model.layout().layers[layer].block;
        if (placement.experts[layer].stored) {  // it works in RAM, and its devices from there
            hops += tokens * ((placement.block_device[size_t(block)] != 0 ? 2 : 0) + hops_of_experts(experts[i], machine));
            continue;
        }
        for (uint32_t d = 0; d < experts[i].share.size(); d++) {
            hops += d != placement.block_device[size_t(block)] && experts[i].share[d] > 0 ? 2 * tokens : 0;
        }
    }
    return hops * hidden_bytes(model, 1);
}

}  // namespace

uint32_t hops_of_experts(const expert_step & step, const plan_machine & machine) {
    uint32_t hops = 0;
    for (size_t d = 1; d < step.share.size(); d++) {
        hops += !machine.timers[d] && step.share[d] > 0 ? 2 : 0;  // where it is measured, the link is part of the cost
    }
    return hops;
}

double hop_seconds(const planned_model & model, uint32_t tokens, const plan_machine & machine) {
    const double link = slowest_link(machine.rig);
    return link > 0 ? hidden_bytes(model, tokens) / link : 0;
}

expert_step price_experts(const planned_model & model, const planned_ffn & ffn, const plan_machine & machine, const expert_place_plan & place) {
    const auto [layer, tokens]   = ffn;
    const expert_layout & layout = model.layout();
    const bool            single = tokens == 1;
    expert_step           step;
    step.experts = distinct_experts(layout.experts, layout.used, tokens) * (single ? 1 : place.distinct);
    step.tokens  = double(tokens) * layout.used;
    step.bytes   = expert_bytes(layout.layers[layer]);
    step.flops   = expert_operations(layout.layers[layer]);
    step.missing = single ? place.missing : place.absent;
    step.read    = machine.read;
    for (size_t d = 0; d < machine.rig.size(); d++) {
        node_timer * timer = d > 0 && place.slots[d] > 0 ? machine.timers[d].get() : nullptr;
        if (timer && !place.stored) {
            step.costs.push_back({ 0, timer->stack_seconds(layout, layer, tokens) / step.experts, 0 });
            continue;
        }
        step.costs.push_back(timer ? timer->device_experts(layout, layer, machine.timers[0] ? machine.timers[0]->cpu_threads() : 0) : machine.rig[d].expert_cost(step.bytes, step.flops));
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
        std::vector<double> upload;
        for (const device_rates & rates : machine.rig) {
            upload.push_back(rates.link > 0 ? step.bytes / rates.link : 0);
        }
        const layer_spread spread = spread_layer({ layout.experts, layout.used, tokens, place.slots, single ? place.found : place.copied, step.missing, step.costs, step.read, upload });
        step.share                = spread.share;
        step.seconds              = spread.seconds;
    }
    return step;
}

step_prices price_step(planned_model & model, uint32_t tokens, uint32_t context, const plan_machine & machine, const std::vector<bool> & used) {
    const planned_graph   graph       = model.graph(tokens, context);
    const expert_layout & layout      = model.layout();
    const uint32_t        devices     = uint32_t(machine.rig.size());
    double                working_set = 0;  // what passes through the caches between two uses of a weight
    step_prices           prices;
    prices.tokens    = tokens;
    prices.experts   = graph.fused;
    prices.embedding = no_nodes(0);
    for (uint32_t d = 0; d < devices; d++) {
        prices.head.push_back(no_nodes(d));
    }
    prices.blocks.assign(model.blocks(), prices.head);
    for (const graph_item & item : graph.items) {
        working_set += item.bytes;
    }
    for (const planned_ffn & ffn : graph.fused) {
        working_set += distinct_experts(layout.experts, layout.used, ffn.tokens) * expert_bytes(layout.layers[ffn.layer]);
    }
    const auto seconds_on = [&](uint32_t d, const graph_item & item) {
        return machine.timers[d] ? machine.timers[d]->seconds(item.node, working_set, context) : machine.rig[d].seconds_for(item.bytes, item.flops);
    };
    for (const graph_item & item : graph.items) {
        const bool of_block = item.block >= 0 && size_t(item.block) < prices.blocks.size();
        if (!of_block && item.node->op == GGML_OP_GET_ROWS) {
            add_node(prices.embedding, item, seconds_on(0, item));
            continue;
        }
        for (uint32_t d = 0; d < devices; d++) {
            if (used[d]) {
                add_node(of_block ? prices.blocks[size_t(item.block)][d] : prices.head[d], item, seconds_on(d, item));
            }
        }
    }
    const uint32_t plain = graph.pieces - std::min(graph.pieces, uint32_t(graph.fused.size()));
    prices.overhead      = plain * (machine.timers[0] ? machine.timers[0]->graph_seconds() : machine.rig[0].node_seconds) + engine_seconds(model, tokens);
    return prices;
}

step_work work_of(const planned_model & model, const step_prices & prices, const plan_machine & machine, const plan_placement & placement) {
    step_work work;
    work.parts = { prices.embedding, prices.head[placement.head_device] };
    for (size_t b = 0; b < prices.blocks.size(); b++) {
        work.parts.push_back(prices.blocks[b][placement.block_device[b]]);
    }
    for (const planned_ffn & ffn : prices.experts) {
        work.experts.push_back(price_experts(model, ffn, machine, placement.experts[ffn.layer]));
    }
    work.overhead = prices.overhead + waits(model, prices, machine, placement);
    work.moved    = machine.rig.size() > 1 ? bytes_moved(model, prices, machine, placement, work.experts) : 0;
    return work;
}

device_rates measure_rates(node_timer & timer, const std::string & id, ggml_type type) {
    return { id, timer.bandwidth(type), timer.flops(type), timer.link_bandwidth(), timer.node_seconds(), timer.wait_seconds(), timer.read_seconds() };
}

}  // namespace moebius
