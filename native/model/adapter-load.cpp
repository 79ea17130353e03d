// Makes llama.cpp's llama_adapter_lora itself: llama_adapter_lora_init reads the file again and believes more of it, and it takes the buffer type of the base
// tensor, which for experts in a store is memory that holds nothing.
#include "adapter-load.h"

#include "host.h"
#include "tensor-class.h"
#include "train/export/adapter-file.h"

#include <ggml-cpp.h>
#include <llama-adapter.h>
#include <llama-model.h>

#include <filesystem>
#include <map>

namespace moebius {

namespace {

struct placed_matrix {
    size_t        parameter;
    ggml_tensor * tensor;
};

struct memory_piece {
    ggml_context_ptr           context;
    uint64_t                   bytes = 0;
    std::vector<placed_matrix> matrices;
};

using memory_plan = std::map<ggml_backend_buffer_type_t, memory_piece>;

const ggml_tensor & base_of(const loaded_model & model, const std::string & name, const std::string & path) {
    const ggml_tensor * tensor = model.model->get_tensor(name.c_str());
    if (!tensor || !tensor->buffer) {
        throw user_error("request.invalid", std::filesystem::u8path(path).filename().u8string() + ": the loaded model has no tensor '" + name +
                                                "'; choose the model that the adapter was trained on.", { { "tensor", name } });
    }
    return *tensor;
}

// Repacked weights and experts in a store are of the host's devices, but no memory that others can write to.
ggml_backend_buffer_type_t memory_beside(const ggml_tensor & base) {
    ggml_backend_buffer_type_t type   = ggml_backend_buffer_get_type(base.buffer);
    ggml_backend_dev_t         device = ggml_backend_buft_get_device(type);
    const auto                 kind   = device ? ggml_backend_dev_type(device) : GGML_BACKEND_DEVICE_TYPE_CPU;
    return kind == GGML_BACKEND_DEVICE_TYPE_GPU || kind == GGML_BACKEND_DEVICE_TYPE_IGPU ? type : ggml_backend_cpu_buffer_type();
}

ggml_tensor * place(memory_plan & plan, ggml_backend_buffer_type_t type, const adapter_file & file, size_t parameter) {
    const gguf_tensor & matrix = file.matrices[parameter];
    memory_piece &      piece  = plan[type];
    if (!piece.context) {
        piece.context.reset(ggml_init({ ggml_tensor_overhead() * file.matrices.size(), nullptr, true }));
    }
    ggml_tensor * tensor = ggml_new_tensor_3d(piece.context.get(), matrix.type, matrix.ne[0], matrix.ne[1], matrix.ne[2]);
    ggml_set_name(tensor, matrix.name.c_str());
    piece.bytes += ggml_backend_buft_get_alloc_size(type, tensor);
    piece.matrices.push_back({ parameter, tensor });
    return tensor;
}

[[noreturn]] void refuse_room(const adapter_file & file, ggml_backend_buffer_type_t type, uint64_t need, uint64_t have) {
    constexpr uint64_t mib = 1 << 20;
    throw user_error("model.does-not-fit", std::filesystem::u8path(file.path).filename().u8string() + " does not fit: it needs " + std::to_string((need + mib - 1) / mib) + " MiB of " +
                                               ggml_backend_buft_name(type) + ", and " + std::to_string(have / mib) +
                                               " MiB are free. Unload another adapter, or load the model with a shorter context.",
                     { { "need", need }, { "have", have }, { "device", ggml_backend_buft_name(type) } });
}

uint64_t free_memory(ggml_backend_buffer_type_t type) {
    if (type == ggml_backend_cpu_buffer_type()) {
        return host_memory_now().available;
    }
    size_t free = 0, total = 0;
    ggml_backend_dev_memory(ggml_backend_buft_get_device(type), &free, &total);
    return free;
}

void fill(llama_adapter_lora & lora, memory_plan plan, const adapter_file & file) {
    for (const auto & [type, piece] : plan) {
        if (const uint64_t have = free_memory(type); piece.bytes > have) {
            refuse_room(file, type, piece.bytes, have);
        }
    }
    for (auto & [type, piece] : plan) {
        ggml_backend_buffer_ptr buffer(ggml_backend_alloc_ctx_tensors_from_buft(piece.context.get(), type));
        if (!buffer) {
            refuse_room(file, type, piece.bytes, free_memory(type));
        }
        ggml_backend_buffer_set_usage(buffer.get(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
        for (const placed_matrix & matrix : piece.matrices) {
            const std::vector<uint8_t> bytes = adapter_bytes(file, matrix.parameter);
            ggml_backend_tensor_set(matrix.tensor, bytes.data(), 0, bytes.size());
        }
        lora.bufs.push_back(std::move(buffer));
        lora.ctxs.push_back(std::move(piece.context));
    }
}

json content_of(const adapter_file & file) {
    int64_t  least = std::numeric_limits<int64_t>::max(), most = 0, parameters = 0;
    uint64_t bytes = 0;
    bool     experts = false, router = false;
    for (const adapted_tensor & tensor : file.described.tensors) {
        least   = std::min(least, tensor.lora_rank);
        most    = std::max(most, tensor.lora_rank);
        experts = experts || classify_tensor(tensor.base) == tensor_class::experts;
        router  = router || classify_tensor(tensor.base) == tensor_class::router;
    }
    for (const gguf_tensor & matrix : file.matrices) {
        parameters += matrix.elements();
        bytes      += matrix.bytes;
    }
    return {
        { "path", file.path },
        { "tensorCount", file.described.tensors.size() },
        { "parameterCount", parameters },
        { "loraRankLeast", least },
        { "loraRankMost", most },
        { "loraAlpha", file.alpha },
        { "changesExperts", experts },
        { "changesRouter", router },
        { "bytes", bytes },
    };
}

}  // namespace

std::shared_ptr<loaded_adapter> load_adapter(const loaded_model & model, const std::string & path) {
    const adapter_file file = adapter_open(path, gguf_open(model.path));
    refuse_unused_pairs(file.described, "Use a merged GGUF instead.");
    const auto loaded = std::make_shared<loaded_adapter>();
    loaded->content   = content_of(file);
    // It is registered with the model only while it is on: see decode_context::set_adapters.
    loaded->lora.reset(new llama_adapter_lora(nullptr));
    loaded->lora->alpha = file.alpha;
    memory_plan plan;
    for (const adapted_tensor & tensor : file.described.tensors) {
        const ggml_tensor &              base = base_of(model, tensor.base, path);
        const ggml_backend_buffer_type_t type = memory_beside(base);
        loaded->lora->ab_map[tensor.base]     = { place(plan, type, file, tensor.a), place(plan, type, file, tensor.b) };
        if (classify_tensor(tensor.base) == tensor_class::experts) {
            loaded->expert_blocks.insert(int32_t(tensor_layer(tensor.base)));
        }
    }
    fill(*loaded->lora, std::move(plan), file);
    return loaded;
}

}  // namespace moebius
