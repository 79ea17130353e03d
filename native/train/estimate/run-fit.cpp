#include "run-fit.h"

#include "rpc/errors.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

namespace moebius {

namespace {

json split_to_json(const run_memory_split & memory) {
    return {
        { "weights", memory.weights },
        { "experts", memory.experts },
        { "adapter", memory.adapter },
        { "gradients", memory.gradients },
        { "optimiser", memory.optimiser },
        { "guardian", memory.guardian },
        { "layerInputs", memory.layer_inputs },
        { "compute", memory.compute },
        { "saving", memory.saving },
        { "data", memory.data },
        { "reserved", memory.reserved },
    };
}

std::string readable(uint64_t bytes) {
    char text[64];
    std::snprintf(text, sizeof(text), bytes >= 1000000000 ? "%.2f GB" : "%.1f MB", double(bytes) / (bytes >= 1000000000 ? 1e9 : 1e6));
    return text;
}

// What changes most, first.
std::string advice_for(const run_device & device, const run_settings & how, uint64_t experts) {
    const run_memory_split & memory  = device.memory;
    const uint64_t           trained = memory.adapter + memory.gradients + memory.optimiser + memory.guardian + memory.saving;
    std::vector<std::pair<uint64_t, std::string>> ways = {
        { memory.layer_inputs + memory.compute, "fewer tokens in a batch (batchTokens, now " + std::to_string(how.batch_tokens) + ")" + (how.devices.activation_bytes ? ", less room for activations (activationBytes)" : "") },
        { trained, std::string("a smaller loraRank, fewer parts that are trained") + (how.optimiser.kind == optimiser_kind::adamw ? " or the optimiser adamw-8bit" : "") },
        { memory.reserved, "nothing beside it (checkpoints that are asked no samples, less reservedBytes)" },
        { experts, "less room for experts (devices.experts with bytes), whose other layers are then read from disk in turns" },
    };
    std::stable_sort(ways.begin(), ways.end(), [](const auto & a, const auto & b) { return a.first > b.first; });
    std::string text;
    for (const auto & [bytes, way] : ways) {
        text += bytes > 0 ? (text.empty() ? "Give it " : ", or ") + way : "";
    }
    return text + ", or close other programs.";
}

}  // namespace

void refuse_unless_fits(const run_memory & memory, const run_settings & how) {
    const run_device * const device = memory.short_device();
    if (!device) {
        return;
    }
    json details           = split_to_json(device->memory);
    details["need"]        = device->memory.sum();
    details["have"]        = device->free;
    details["device"]      = device->id;
    const std::string name = std::filesystem::u8path(how.model).filename().u8string();
    throw user_error("model.does-not-fit",
                     "Training " + name + " does not fit on " + device->id + ": it needs " + (memory.is_least ? "more than " : "") + readable(device->memory.sum()) + " (" + std::to_string(device->memory.sum()) +
                         " bytes), and " + readable(device->free) + " (" + std::to_string(device->free) + ") are free. " + advice_for(*device, how, device->memory.experts),
                     std::move(details));
}

json run_memory_to_json(const run_memory & memory) {
    json devices = json::array();
    for (const run_device & device : memory.devices) {
        json entry           = split_to_json(device.memory);
        entry["id"]          = device.id;
        entry["need"]        = device.memory.sum();
        entry["memoryFree"]  = device.free;
        entry["memoryTotal"] = device.total;
        devices.push_back(std::move(entry));
    }
    return { { "devices", std::move(devices) }, { "need", memory.need() }, { "have", memory.have() }, { "fits", memory.short_device() == nullptr }, { "isLeast", memory.is_least }, { "expertsOnDisk", memory.on_disk }, { "parameters", memory.parameters }, { "keptLayers", memory.kept_layers } };
}

}  // namespace moebius
