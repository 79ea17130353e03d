#include "expert-buffer.h"

#include "expert-device.h"

#include <ggml-backend-impl.h>

#include <list>

namespace moebius {

namespace {

struct buffer_context {
    expert_store &           store;
    uint8_t *                base;
    uint64_t                 bytes;
    std::list<expert_tensor> tensors;

    buffer_context(expert_store & store, uint64_t bytes) : store(store), base(address_space_reserve(bytes)), bytes(bytes) {}
    ~buffer_context() { address_space_release(base, bytes); }
};

buffer_context & context_of(ggml_backend_buffer_t buffer) {
    return *static_cast<buffer_context *>(buffer->context);
}

void free_buffer(ggml_backend_buffer_t buffer) {
    delete &context_of(buffer);
}

void * base_of(ggml_backend_buffer_t buffer) {
    return context_of(buffer).base;
}

ggml_status init_tensor(ggml_backend_buffer_t buffer, ggml_tensor * tensor) {
    buffer_context &      context = context_of(buffer);
    const expert_layout & layout  = context.store.layout();
    for (uint32_t i = 0; i < layout.layers.size(); i++) {
        for (uint32_t p = 0; p < layout.layers[i].parts.size(); p++) {
            const std::string name = "blk." + std::to_string(layout.layers[i].block) + "." + expert_matrix_name(layout.layers[i].parts[p].matrix) + ".weight";
            if (name == ggml_get_name(tensor)) {
                tensor->extra = &context.tensors.emplace_back(expert_tensor{ &context.store, i, p });
                return GGML_STATUS_SUCCESS;
            }
        }
    }
    return GGML_STATUS_FAILED;
}

// The loader's copy from the mapped file: the store reads it when it is wanted.
void set_tensor(ggml_backend_buffer_t, ggml_tensor *, const void *, size_t, size_t) {}
void memset_tensor(ggml_backend_buffer_t, ggml_tensor *, uint8_t, size_t, size_t) {}
void clear(ggml_backend_buffer_t, uint8_t) {}

void get_tensor(ggml_backend_buffer_t, const ggml_tensor * tensor, void * data, size_t offset, size_t size) {
    const expert_tensor & which = *static_cast<const expert_tensor *>(tensor->extra);
    which.store->read_tensor(which.layer, which.part, offset, size, data);
}

const char * type_name(ggml_backend_buffer_type_t) {
    return "Experts";
}

ggml_backend_buffer_t alloc_buffer(ggml_backend_buffer_type_t type, size_t size) {
    ggml_backend_buffer_i calls{};
    calls.free_buffer   = free_buffer;
    calls.get_base      = base_of;
    calls.init_tensor   = init_tensor;
    calls.memset_tensor = memset_tensor;
    calls.set_tensor    = set_tensor;
    calls.get_tensor    = get_tensor;
    calls.clear         = clear;
    try {
        return ggml_backend_buffer_init(type, calls, new buffer_context(*static_cast<expert_store *>(type->context), size), size);
    } catch (const std::bad_alloc &) {
        return nullptr;
    }
}

size_t alignment(ggml_backend_buffer_type_t) {
    return 64;
}

bool is_host(ggml_backend_buffer_type_t) {
    return false;
}

}  // namespace

expert_buffer_type::expert_buffer_type(expert_store & store) : type(std::make_unique<ggml_backend_buffer_type>()) {
    type->iface.get_name      = type_name;
    type->iface.alloc_buffer  = alloc_buffer;
    type->iface.get_alignment = alignment;
    type->iface.is_host       = is_host;
    type->device              = expert_device();
    type->context             = &store;
}

expert_buffer_type::~expert_buffer_type() = default;

expert_store * expert_store_of(ggml_backend_buffer_type_t type) {
    return type && type->iface.get_name == type_name ? static_cast<expert_store *>(type->context) : nullptr;
}

bool is_expert_tensor(const ggml_tensor * tensor) {
    return tensor && tensor->buffer && expert_store_of(ggml_backend_buffer_get_type(tensor->buffer));
}

const expert_tensor * expert_tensor_of(const ggml_tensor * tensor) {
    return is_expert_tensor(tensor) ? static_cast<const expert_tensor *>(tensor->extra) : nullptr;
}

}  // namespace moebius
