// What a model needs to be opened with its routed experts in a store.
#pragma once

#include "expert-ahead.h"
#include "expert-buffer.h"

namespace moebius {

// Outlives the llama_model that was opened with it.
struct loaded_experts {
    expert_store       store;
    expert_buffer_type type;
    std::string        pattern;  // of the tensors that get `type`
    std::unique_ptr<expert_ahead> ahead;  // null: `look_ahead` was not called

    // Throws file.unreadable, model.does-not-fit.
    loaded_experts(const expert_layout & layout, const expert_store_settings & settings)
        : store(layout, settings), type(store), pattern(expert_layout_pattern(layout)) {}

    // From now on the next layers' experts are foretold; for the model that was opened with these experts, before its first batch.
    void look_ahead(const llama_model * model) {
        ahead       = std::make_unique<expert_ahead>(store, model);
        store.ahead = ahead.get();
    }
};

// The layout if a store can take it and the CPU backend has kernels for its types, else an empty one.
expert_layout expert_layout_usable(const gguf_model & file, const json & inspection);

// Where the experts' device gets the experts of an open model from; null: it computes nothing of it.
expert_source * expert_source_of(const llama_model * model);

}  // namespace moebius
