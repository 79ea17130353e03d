#include "plan-layout.h"

#include "experts.h"
#include "experts/store/device-slots.h"
#include "llama-open.h"
#include "model-parameters.h"
#include "tensor-class.h"

#include <llama-model.h>

#include <algorithm>
#include <numeric>

namespace moebius {

namespace {

// Opens the model once more, without weights, to hear from llama.cpp which layer goes where.
void ask_for_devices(const gguf_model & file, const json & inspection, const load_options & options, tier_plan & plan) {
    const llama_log_scope log(true);
    model_parameters      parameters(options, inspection, nullptr);
    parameters.value.no_alloc   = true;
    parameters.value.load_mode  = LLAMA_LOAD_MODE_NONE;
    const llama_model_ptr model = llama_open(file, parameters.value, log);
    const auto            index = [&](ggml_backend_dev_t device) {
        for (uint32_t i = 0; i < options.devices.size(); i++) {
            if (device && options.devices[i] == ggml_backend_dev_name(device)) {
                return i + 1;
            }
        }
        return 0u;
    };
    for (size_t b = 0; b < plan.block_device.size(); b++) {
        plan.block_device[b] = index(model->dev_layer(int(b)));
    }
    plan.head_device = index(model->dev_output());
}

}  // namespace

plan_sizes plan_sizes_of(const gguf_model & file, const memory_estimate & memory) {
    plan_sizes sizes;
    sizes.blocks.assign(plan_blocks(file), 0);
    const bool tied = file.find_tensor("output.weight") == nullptr;
    for (const gguf_tensor & tensor : file.tensors) {
        const int64_t      block = tensor_layer(tensor.name);
        const tensor_class which = classify_tensor(tensor.name);
        if (which == tensor_class::experts) {
            continue;
        }
        if (block >= 0 && size_t(block) < sizes.blocks.size()) {
            sizes.blocks[size_t(block)] += tensor.bytes;
        } else if (which == tensor_class::embedding) {
            sizes.embedding += tensor.bytes;
            sizes.head += tied && tensor.name == "token_embd.weight" ? tensor.bytes : 0;
        } else if (block < 0) {
            sizes.head += tensor.bytes;
        }
    }
    sizes.kv.assign(sizes.blocks.size(), memory.total.kv_cache / std::max<size_t>(1, sizes.blocks.size()));
    sizes.compute = memory.total.compute;
    return sizes;
}

tier_plan plan_as_loaded(const gguf_model & file, const json & inspection, const load_options & options, const memory_estimate & memory, const expert_layout & layout) {
    tier_plan plan;
    plan.block_device.assign(plan_blocks(file), 0);
    if (!options.devices.empty()) {
        ask_for_devices(file, inspection, options, plan);
    }
    plan.stored = options.expert_ram_bytes.value_or(0) > 0;
    plan.slots.assign(memory.devices.size(), std::vector<uint32_t>(layout.layers.size(), 0));
    for (size_t i = 0; i < layout.layers.size() && !plan.stored; i++) {
        const uint32_t home = int32_t(i) < options.cpu_expert_layers ? 0 : plan.block_device[size_t(layout.layers[i].block)];
        plan.slots[home][i] = layout.experts;
    }
    if (plan.stored) {
        plan.slots[0] = slots_at_load(layout, options);
    }
    for (const expert_budget & budget : options.expert_devices.value_or(std::vector<expert_budget>())) {
        const auto at = std::find_if(memory.devices.begin(), memory.devices.end(), [&](const device_estimate & device) { return device.id == budget.id; });
        plan.slots[size_t(at - memory.devices.begin())] = device_slots_for(layout, budget.bytes);
    }
    for (const device_estimate & device : memory.devices) {
        plan.needs.push_back({ device.memory.weights, device.memory.experts, device.memory.kv_cache, device.memory.compute });
    }
    return plan;
}

plan_placement placement_of(const tier_plan & plan, const expert_layout & layout, const hit_rates & hits) {
    plan_placement placement;
    placement.block_device            = plan.block_device;
    placement.head_device             = plan.head_device;
    const std::vector<uint32_t> gpus  = all_slots(plan, 1, layout.experts), all = all_slots(plan, 0, layout.experts);
    const std::vector<double>   found = hits.of(gpus), present = hits.of(all);
    const std::vector<hit_rates::prompt_use> prompts = hits.prompts(all);
    for (size_t i = 0; i < layout.layers.size(); i++) {
        expert_place_plan place;
        for (const std::vector<uint32_t> & device : plan.slots) {
            place.slots.push_back(device[i]);
        }
        place.stored  = plan.stored;
        place.found   = found[i];
        place.missing = std::max(0.0, 1 - std::max(present[i], found[i]));
        place.copied  = double(gpus[i]) / double(layout.experts);
        place.absent   = prompts[i].missing;
        place.distinct = prompts[i].distinct;
        placement.experts.push_back(std::move(place));
    }
    return placement;
}

json tier_plan_to_json(const tier_plan & plan, const std::vector<std::string> & devices, const expert_layout & layout) {
    json blocks = json::array(), experts = json::array();
    for (size_t first = 0; first < plan.block_device.size();) {
        size_t end = first;
        while (end < plan.block_device.size() && plan.block_device[end] == plan.block_device[first]) {
            end++;
        }
        blocks.push_back({ { "device", devices[plan.block_device[first]] }, { "first", first }, { "last", end - 1 } });
        first = end;
    }
    const std::vector<uint32_t> all = all_slots(plan, 0, layout.experts);
    for (size_t i = 0; i < layout.layers.size(); i++) {
        json slots = json::object();
        for (size_t d = 0; d < devices.size(); d++) {
            slots[devices[d]] = plan.slots[d][i];
        }
        experts.push_back({ { "layer", layout.layers[i].block }, { "slots", std::move(slots) }, { "onlyOnDisk", layout.experts - all[i] } });
    }
    return { { "blocks", std::move(blocks) }, { "output", devices[plan.head_device] }, { "experts", std::move(experts) } };
}

}  // namespace moebius
