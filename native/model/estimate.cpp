#include "estimate.h"

#include "decode/context.h"
#include "devices.h"
#include "experts.h"
#include "llama-log.h"
#include "llama-open.h"
#include "model-parameters.h"

#include <ggml-backend.h>
#include <llama-cpp.h>

#include <cstdio>
#include <filesystem>
#include <limits>
#include <numeric>

namespace moebius {

namespace {

// cells of the KV cache, over all sequences
constexpr uint32_t measured_cells_limit = 1u << 18;

// Of the free RAM, for a model whose experts fill all that there is.
constexpr double ram_share = 0.95;

ggml_backend_dev_t device_by_id(const std::string & id) {
    return id == cpu_device_id ? ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU) : gpu_device(id);
}

// "12.34 GB (12340000000 bytes)"
std::string readable(uint64_t bytes) {
    char text[64];
    if (bytes >= 1000000000) {
        std::snprintf(text, sizeof(text), "%.2f GB", double(bytes) / 1e9);
    } else {
        std::snprintf(text, sizeof(text), "%.1f MB", double(bytes) / 1e6);
    }
    return std::string(text) + " (" + std::to_string(bytes) + " bytes)";
}

std::string file_name(const std::string & path) {
    return std::filesystem::u8path(path).filename().u8string();
}

uint64_t saturating_add(uint64_t a, uint64_t b) {
    return a > std::numeric_limits<uint64_t>::max() - b ? std::numeric_limits<uint64_t>::max() : a + b;
}

// Bytes per device of the model with a context of these options. llama.cpp allocates no buffers, but some 50 bytes a cell.
std::vector<device_split> measure(llama_model * model, const json & inspection, const load_options & options, const llama_log_scope & log) {
    llama_context_params settings = decode_context_parameters(model, options);
    router_observer      observer(router_shape_from(inspection));
    if (options.telemetry && !observer.shape().empty()) {
        observer.attach(settings);  // what it keeps of each layer counts too
    }
    const llama_context_ptr context(llama_init_from_model(model, settings));
    if (!context) {
        throw user_error("model.load-failed", "The model loads, but not with this context: " + log.first_error("llama.cpp gave no reason") + ".",
                         { { "contextLength", options.context_length }, { "sequences", options.sequences } });
    }
    return memory_of(model, context.get(), options.devices);
}

// b is the value at `to` and a at half of it: goes on along that line to `length`.
uint64_t extrapolate(uint64_t a, uint64_t b, uint32_t to, uint32_t length) {
    const double slope = (double(b) - double(a)) / (double(to) / 2);
    return b + uint64_t(std::max(0.0, slope * (double(length) - double(to))));
}

// The same for contexts of any size: all parts of the memory grow linearly with the context (or not at all) once it is
// large, so that what a huge one takes is known without paying for its cells.
std::vector<device_split> measure_any_context(llama_model * model, const json & inspection, const load_options & options, const llama_log_scope & log) {
    const uint32_t largest = measured_cells_limit / options.sequences;
    if (options.context_length <= largest) {
        return measure(model, inspection, options, log);
    }
    load_options smaller            = options;
    smaller.context_length          = largest / 2;
    const auto half                 = measure(model, inspection, smaller, log);
    smaller.context_length          = largest;
    std::vector<device_split> whole = measure(model, inspection, smaller, log);
    for (size_t i = 0; i < whole.size(); i++) {
        memory_split &       at_whole = whole[i].memory;
        const memory_split & at_half  = half[i].memory;
        at_whole.kv_cache = extrapolate(at_half.kv_cache, at_whole.kv_cache, largest, options.context_length);
        at_whole.compute  = extrapolate(at_half.compute, at_whole.compute, largest, options.context_length);
    }
    return whole;
}

// What budgets for experts can be, null without any.
json expert_room(const expert_layout & layout) {
    if (layout.empty()) {
        return nullptr;
    }
    return {
        { "ramBytesLeast", expert_slots_least_bytes(layout) },
        { "ramBytesMost", expert_slots_most_bytes(layout) },
        { "deviceBytesMost", device_slots_bytes(layout, std::vector<uint32_t>(layout.layers.size(), layout.experts)) },
    };
}

}  // namespace

uint64_t memory_estimate::have() const {
    uint64_t sum = 0;
    for (const device_estimate & device : devices) {
        sum = saturating_add(sum, device.free);
    }
    return sum;
}

const device_estimate * memory_estimate::short_device() const {
    for (const device_estimate & device : devices) {
        const bool knows = device.total > 0;  // some drivers report nothing; the allocation itself will tell
        if (knows && device.memory.sum() > device.free) {
            return &device;
        }
    }
    return nullptr;
}

memory_estimate estimate_memory(const gguf_model & file, const json & inspection, const load_options & options) {
    const llama_log_scope log(true);
    const auto            experts = make_experts(file, inspection, options);
    model_parameters      parameters(options, inspection, experts.get());
    parameters.value.no_alloc  = true;
    parameters.value.load_mode = LLAMA_LOAD_MODE_NONE;
    const llama_model_ptr     model  = llama_open(file, parameters.value, log);
    const auto                whole  = experts ? nullptr : make_whole_experts(model.get(), file, inspection, options);
    std::vector<device_split> splits = measure_any_context(model.get(), inspection, options, log);
    if (experts) {
        add_expert_devices(splits, experts->store.layout(), options);
    }
    memory_estimate           estimate;
    for (const device_split & device : splits) {
        const device_memory memory = device_memory_now(device_by_id(device.id));
        estimate.devices.push_back({ device.id, device.memory, memory.free, memory.total });
        estimate.total.add(device.memory);
    }
    return estimate;
}

json estimate_to_json(const memory_estimate & estimate, const load_options & options, const expert_layout & layout) {
    json devices = json::array();
    for (const device_estimate & device : estimate.devices) {
        json entry           = memory_to_json(device.memory);
        entry["id"]          = device.id;
        entry["memoryFree"]  = device.free;
        entry["memoryTotal"] = device.total;
        devices.push_back(std::move(entry));
    }
    return {
        { "total", memory_to_json(estimate.total) },
        { "devices", std::move(devices) },
        { "need", estimate.need() },
        { "have", estimate.have() },
        { "fits", estimate.short_device() == nullptr },
        { "expertRoom", expert_room(layout) },
        { "options", options_to_json(options) },
    };
}

namespace {

// As much RAM for experts as the rest of the model leaves. False: it leaves too little for any, and nothing is changed.
bool fit_expert_ram(const gguf_model & file, const json & inspection, const expert_layout & layout, load_options & options) {
    load_options with            = options;
    with.expert_ram_bytes        = experts_least_bytes(layout, options);
    const memory_estimate  least = estimate_memory(file, inspection, with);
    const device_estimate & ram  = least.devices.front();
    const uint64_t          most = uint64_t(double(ram.free) * ram_share);
    if (least.short_device() || ram.memory.sum() > most) {
        return false;
    }
    options.expert_ram_bytes = std::min(ram.memory.experts + (most - ram.memory.sum()), expert_slots_most_bytes(layout));
    return true;
}

// As many copies on the model's GPUs as their memory leaves room for.
std::vector<expert_budget> fit_expert_devices(const memory_estimate & estimate, const expert_layout & layout, const load_options & options) {
    std::vector<expert_budget> devices;
    for (const device_estimate & device : estimate.devices) {
        if (device.id == cpu_device_id || device.total == 0 || devices.size() == devices_most || !device_ffn::supports(gpu_device(device.id), layout)) {
            continue;
        }
        const uint64_t taken = device.memory.sum() + device_dispatch::scratch_bytes(gpu_device(device.id), layout, std::max(options.batch, options.sequences));
        const uint64_t most  = uint64_t(double(device.free) * ram_share);
        const uint64_t bytes = std::min(most - std::min(most, taken), device_slots_bytes(layout, std::vector<uint32_t>(layout.layers.size(), layout.experts)));
        if (bytes >= device_slot_bytes(layout)) {
            devices.push_back({ device.id, bytes });
        }
    }
    return devices;
}

}  // namespace

memory_estimate fit_experts(const gguf_model & file, const json & inspection, load_options & options) {
    find_layout(file, inspection, options);
    const expert_layout layout  = expert_layout_for(file, inspection, options);
    const bool          devices = options.expert_devices && !options.expert_devices->empty();
    if (devices && layout.empty()) {
        throw user_error("request.invalid", "expertDevices: the experts of this model are in a form that GPUs cannot hold copies of (see expertRamBytes). Load it without expertDevices.",
                         { { "parameter", "expertDevices" } });
    }
    if (options.expert_ram_bytes) {
        options.expert_devices = options.expert_devices.value_or(std::vector<expert_budget>());
        return estimate_memory(file, inspection, options);
    }
    if (!devices) {
        load_options loaded     = options;
        loaded.expert_ram_bytes = 0;
        loaded.expert_devices   = std::vector<expert_budget>();
        memory_estimate whole   = estimate_memory(file, inspection, loaded);
        if (!whole.short_device() || layout.empty() || !fit_expert_ram(file, inspection, layout, options)) {
            options = loaded;
            return whole;
        }
    } else if (!fit_expert_ram(file, inspection, layout, options)) {
        options.expert_ram_bytes = experts_least_bytes(layout, options);
    }
    memory_estimate estimate = estimate_memory(file, inspection, options);
    if (options.expert_devices) {
        return estimate;
    }
    options.expert_devices = fit_expert_devices(estimate, layout, options);
    return options.expert_devices->empty() ? estimate : estimate_memory(file, inspection, options);
}

void refuse_hopeless(const gguf_model & file, const json & inspection, const load_options & options) {
    const expert_layout layout = options.expert_ram_bytes == 0 ? expert_layout() : expert_layout_usable(file, inspection);
    uint64_t            need   = std::accumulate(file.tensors.begin(), file.tensors.end(), uint64_t(0),
                                                 [](uint64_t sum, const gguf_tensor & tensor) { return saturating_add(sum, tensor.bytes); });
    if (!layout.empty()) {
        need = need - layout.bytes() + std::max(options.expert_ram_bytes.value_or(0), experts_least_bytes(layout, options));
    }
    uint64_t have = device_memory_now(device_by_id(cpu_device_id)).free;
    for (const std::string & id : options.devices) {
        const device_memory memory = device_memory_now(device_by_id(id));
        if (memory.total == 0) {
            return;  // unknown
        }
        have = saturating_add(have, memory.free);
    }
    if (need > have) {
        throw user_error("model.does-not-fit",
                         file_name(file.files.front()) + " does not fit: its weights alone need " + readable(need) +
                             ", and there are " + readable(have) +
                             " free on all devices together. Close other programs or take a smaller quantisation.",
                         { { "need", need }, { "have", have } });
    }
}

void refuse_unless_fits(const memory_estimate & estimate, const std::string & name) {
    const device_estimate * device = estimate.short_device();
    if (!device) {
        return;
    }
    const memory_split & memory = device->memory;
    const bool           on_cpu = device->id == cpu_device_id;
    throw user_error("model.does-not-fit",
                     file_name(name) + " does not fit on " + device->id + ": it needs " + readable(memory.sum()) + ", of them " +
                         readable(memory.kv_cache) + " for the KV cache, and " + readable(device->free) + " are free. " +
                         (on_cpu ? "Reduce contextLength or sequences, or close other programs."
                                 : "Put fewer layers on it (gpuLayers), keep experts in RAM (cpuExpertLayers), or reduce contextLength."),
                     { { "need", memory.sum() },
                       { "have", device->free },
                       { "device", device->id },
                       { "weights", memory.weights },
                       { "experts", memory.experts },
                       { "kvCache", memory.kv_cache },
                       { "compute", memory.compute } });
}

}  // namespace moebius
