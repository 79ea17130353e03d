#include "experts.h"

#include "devices.h"
#include "experts/layout/layout-file.h"
#include "experts/policy/slot-allocation.h"
#include "experts/store/low-precision.h"
#include "rpc/log.h"

#include <ggml-backend-impl.h>

#include <algorithm>
#include <filesystem>
#include <set>

namespace moebius {

namespace {

uint32_t largest_batch(const load_options & options) {
    return std::max(options.batch, options.sequences);
}

bool takes_ring(const expert_layout & layout, const load_options & options) {
    const bool no_room = options.expert_ram_bytes.value_or(0) < expert_slots_least_bytes(layout);
    return options.expert_storage == "ring" || (options.expert_storage == "auto" && no_room);
}

}  // namespace

void find_layout(const gguf_model & file, const json & inspection, load_options & options) {
    options.layout_fingerprint.clear();
    const std::string path = layout_path_of(file);
    std::error_code   error;
    if (!options.expert_layout || !std::filesystem::exists(std::filesystem::u8path(path), error)) {
        return;
    }
    const expert_layout layout = expert_layout_usable(file, inspection);
    if (layout.empty()) {
        return;
    }
    try {
        const std::string fingerprint = layout_fingerprint(file, layout);
        layout_apply(layout, path, fingerprint);
        options.layout_fingerprint = fingerprint;
    } catch (const user_error & problem) {
        log_write(log_level::warn, std::string("The layout file is not used: ") + problem.what());
    }
}

expert_layout expert_layout_for(const gguf_model & file, const json & inspection, const load_options & options) {
    const expert_layout layout = expert_layout_usable(file, inspection);
    return layout.empty() || options.layout_fingerprint.empty() ? layout : layout_apply(layout, layout_path_of(file), options.layout_fingerprint);
}

std::vector<uint32_t> slots_at_load(const expert_layout & layout, const load_options & options) {
    const uint64_t bytes = options.expert_ram_bytes.value_or(0);
    if (takes_ring(layout, options)) {
        return slots_uniform({ uint32_t(layout.layers.size()), layout.experts, 0 }, expert_ring_slots_for(layout, bytes));
    }
    return options.slot_allocation == "shallow" ? expert_slots_shallow(layout, bytes) : expert_slots_for(layout, bytes);
}

uint64_t experts_least_bytes(const expert_layout & layout, const load_options & options) {
    const uint64_t slots = expert_slots_least_bytes(layout), ring = expert_ring_least_bytes(layout);
    return options.expert_storage == "slots" ? slots : options.expert_storage == "ring" ? ring : std::min(slots, ring);
}

std::unique_ptr<loaded_experts> make_experts(const gguf_model & file, const json & inspection, const load_options & options) {
    if (options.expert_ram_bytes.value_or(0) == 0) {
        return nullptr;
    }
    const expert_layout layout = expert_layout_for(file, inspection, options);
    if (layout.empty()) {
        throw user_error("request.invalid",
                         "expertRamBytes: the experts of this model are in a form that the expert cache does not know (it takes gate, up and "
                         "down, or gate and up in one, all quantised in types that the CPU computes with). Load it without expertRamBytes.",
                         { { "parameter", "expertRamBytes" } });
    }
    expert_store_settings settings;
    settings.ram_bytes = *options.expert_ram_bytes;
    settings.policy    = policy_at_load(options);
    settings.prefetch  = options.expert_prefetch;
    if (takes_ring(layout, options)) {
        return std::make_unique<loaded_experts>(std::make_unique<expert_ring>(layout, settings));
    }
    settings.slots = slots_at_load(layout, options);
    return std::make_unique<loaded_experts>(std::make_unique<expert_store>(layout, settings));
}

void use_expert_devices(loaded_experts & experts, const load_options & options) {
    if (!options.expert_devices || options.expert_devices->empty()) {
        return;
    }
    std::vector<device_budget> budgets;
    std::set<std::string>      named;
    for (const expert_budget & device : *options.expert_devices) {
        budgets.push_back({ gpu_device(device.id), device.bytes });
        named.insert(device.id);
    }
    for (const std::string & id : options.devices) {
        if (budgets.size() < devices_most && named.insert(id).second) {
            budgets.push_back({ gpu_device(id), 0 });
        }
    }
    experts.use_devices(budgets, largest_batch(options));
    experts.devices->tier.set_adapts(options.expert_replication);
}

low_precision_choice to_low_precision(const replica_precision & choice) {
    return { low_precision_type(choice.type), choice.share };
}

void use_replica_precision(loaded_experts & experts, const load_options & options) {
    if (experts.devices && options.expert_replica_precision && options.expert_replica_precision->share > 0) {
        experts.devices->set_low_precision(to_low_precision(*options.expert_replica_precision));
    }
}

void add_expert_devices(std::vector<device_split> & devices, const expert_layout & layout, const load_options & options) {
    if (!options.expert_devices) {
        return;
    }
    for (const expert_budget & device : *options.expert_devices) {
        memory_split & memory = entry_of(devices, device.id);
        memory.experts += device_slots_bytes(layout, device_slots_for(layout, device.bytes));
        if (device.bytes == 0) {
            continue;
        }
        memory.compute += device_dispatch::scratch_bytes(gpu_device(device.id), layout, largest_batch(options));
        if (options.expert_replica_precision) {
            const expert_layout low = low_precision_layout(layout, low_precision_type(options.expert_replica_precision->type));
            memory.compute += device_ffn::scratch_bytes(gpu_device(device.id), low, largest_batch(options));
        }
    }
}

namespace {

// Whether llama.cpp has large products with weights in RAM computed there.
bool offloads(const std::string & id) {
    ggml_backend_dev_t device = ggml_backend_dev_by_name(id.c_str());
    return device && device->iface.offload_op;
}

}  // namespace

std::unique_ptr<whole_experts> make_whole_experts(const llama_model * model, const gguf_model & file, const json & inspection, const load_options & options) {
    // Larger batches llama.cpp computes on a GPU, with experts that it copies there (op_offload); on devices of other machines it does not.
    constexpr int64_t offloaded_from = 32;
    return std::make_unique<whole_experts>(expert_layout_usable(file, inspection), model,
                                           std::any_of(options.devices.begin(), options.devices.end(), offloads) ? offloaded_from - 1 : std::numeric_limits<int64_t>::max());
}

}  // namespace moebius
