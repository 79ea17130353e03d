#include "loaded-experts.h"

#include "experts/dispatch/expert-ffn.h"

#include <llama-model.h>

namespace moebius {

expert_layout expert_layout_usable(const gguf_model & file, const json & inspection) {
    expert_layout layout = expert_layout_from(file, inspection);
    return expert_ffn::supports(layout) ? layout : expert_layout();
}

expert_source * expert_source_of(const llama_model * model) {
    for (const auto & [name, tensor] : llama_internal_get_tensor_map(model)) {
        if (is_stored_expert_tensor(tensor)) {
            return expert_storage_of(ggml_backend_buffer_get_type(tensor->buffer));
        }
        if (const expert_tensor * whole = expert_tensor_of(tensor)) {
            return whole->source;
        }
    }
    return nullptr;
}

}  // namespace moebius
