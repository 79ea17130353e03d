// What a model needs to be opened with its routed experts in a store.
#pragma once

#include "expert-buffer.h"
#include "experts/dispatch/device-dispatch.h"

namespace moebius {

// Outlives the llama_model that was opened with it.
struct loaded_experts {
    expert_store       store;
    expert_buffer_type type;
    std::string        pattern;  // of the tensors that get `type`
    std::unique_ptr<device_dispatch> devices;  // null: the CPU computes all of them

    // Throws file.unreadable, model.does-not-fit.
    loaded_experts(const expert_layout & layout, const expert_store_settings & settings)
        : store(layout, settings), type(store), pattern(expert_layout_pattern(layout)) {}

    // From now on experts are computed on devices, too, in batches of at most `tokens`. Throws what device_dispatch does.
    void use_devices(const std::vector<device_budget> & budgets, uint32_t tokens) {
        devices       = std::make_unique<device_dispatch>(store, budgets, tokens);
        store.devices = devices.get();
    }
};

// The layout if a store can take it and the CPU backend has kernels for its types, else an empty one.
expert_layout expert_layout_usable(const gguf_model & file, const json & inspection);

// Where the experts' device gets the experts of an open model from; null: it computes nothing of it.
expert_source * expert_source_of(const llama_model * model);

}  // namespace moebius
