// What a model needs to be opened with its routed experts in RAM and on disk.
#pragma once

#include "expert-ahead.h"
#include "expert-buffer.h"
#include "experts/dispatch/device-dispatch.h"
#include "experts/lossy/lossy-experts.h"
#include "experts/store/expert-ring.h"
#include "experts/store/expert-store.h"

namespace moebius {

// Outlives the llama_model that was opened with it.
struct loaded_experts {
    std::unique_ptr<expert_storage>  owned;
    expert_storage &                 store;
    lossy_experts                    lossy;
    expert_buffer_type               type;
    std::string                      pattern;  // of the tensors that get `type`
    std::unique_ptr<device_dispatch> devices;  // null: the CPU computes all of them
    std::unique_ptr<expert_ahead>    ahead;    // null: nothing is foretold

    explicit loaded_experts(std::unique_ptr<expert_storage> storage)
        : owned(std::move(storage)), store(*owned), lossy(store), type(store), pattern(expert_layout_pattern(store.layout())) {
        store.lossy = &lossy;
    }

    // Of each layer; null: all layers share a ring.
    expert_store * slots() const { return dynamic_cast<expert_store *>(&store); }

    // From now on the next layers' experts are foretold, if the storage can do something with it; for the model that was opened with these
    // experts, before its first batch.
    void look_ahead(const llama_model * model) {
        if (slots()) {
            ahead       = std::make_unique<expert_ahead>(*slots(), model);
            store.ahead = ahead.get();
        }
    }

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
