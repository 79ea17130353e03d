#include "memory.h"

#include "devices.h"
#include "experts/backend/loaded-experts.h"
#include "experts/dispatch/expert-ffn.h"
#include "tensor-class.h"

#include <llama-ext.h>
#include <llama-model.h>

#include <set>

namespace moebius {

namespace {

void add_tensors(std::vector<device_split> & devices, const llama_model * model) {
    std::set<const ggml_tensor *> seen;  // a tied output layer is the embedding's tensor under a second entry
    for (const auto & [name, tensor] : llama_internal_get_tensor_map(model)) {
        if (!tensor->buffer || tensor->view_src || !seen.insert(tensor).second) {
            continue;
        }
        const ggml_backend_buffer_type_t type  = ggml_backend_buffer_get_type(tensor->buffer);
        if (expert_storage_of(type)) {
            continue;
        }
        const uint64_t                   bytes = ggml_backend_buft_get_alloc_size(type, tensor);
        memory_split &                   split = entry_of(devices, device_id_of(type));
        (classify_tensor(name) == tensor_class::experts ? split.experts : split.weights) += bytes;
    }
}

}  // namespace

memory_split & entry_of(std::vector<device_split> & devices, const std::string & id) {
    for (device_split & device : devices) {
        if (device.id == id) {
            return device.memory;
        }
    }
    devices.push_back({ id, {} });
    return devices.back().memory;
}

void memory_split::add(const memory_split & other) {
    weights += other.weights;
    experts += other.experts;
    kv_cache += other.kv_cache;
    compute += other.compute;
}

std::vector<device_split> memory_of(const llama_model * model, const llama_context * context, const std::vector<std::string> & gpus) {
    std::vector<device_split> devices = { { cpu_device_id, {} } };
    for (const std::string & gpu : gpus) {
        devices.push_back({ gpu, {} });
    }
    add_tensors(devices, model);
    // What the FFN of experts that llama.cpp has loaded needs takes the place of what it leaves untouched in llama.cpp's buffer.
    if (const auto * store = dynamic_cast<const expert_storage *>(expert_source_of(model))) {
        devices.front().memory.experts += store->slot_bytes();
        devices.front().memory.compute += expert_ffn::scratch_bytes(store->layout(), llama_n_ubatch(context));
    }
    for (const auto & [type, data] : llama_get_memory_breakdown(context)) {
        if (type == expert_result_type()) {
            continue;
        }
        memory_split & split = entry_of(devices, device_id_of(type));
        split.kv_cache += data.context;
        split.compute += data.compute;
    }
    // the breakdown leaves out the buffer that logits are copied to: one row per sequence
    const uint64_t vocabulary = uint64_t(llama_vocab_n_tokens(llama_model_get_vocab(model)));
    devices.front().memory.compute += vocabulary * llama_n_seq_max(context) * sizeof(float);
    return devices;
}

json memory_to_json(const memory_split & memory) {
    return {
        { "weights", memory.weights },
        { "experts", memory.experts },
        { "kvCache", memory.kv_cache },
        { "compute", memory.compute },
    };
}

}  // namespace moebius
