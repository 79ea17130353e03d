#include "expert-buffer.h"

#include "expert-device.h"

#include <ggml-backend-impl.h>

#include <cstring>
#include <list>

namespace moebius {

namespace {

struct buffer_context {
    expert_storage &         store;
    uint8_t *                base;
    uint64_t                 bytes;
    std::list<expert_tensor> tensors;

    buffer_context(expert_storage & store, uint64_t bytes) : store(store), base(address_space_reserve(bytes)), bytes(bytes) {}
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
            if (expert_tensor_name(layout.layers[i], layout.layers[i].parts[p]) == ggml_get_name(tensor)) {
                expert_tensor & mark = context.tensors.emplace_back();
                mark.source          = &context.store;
                mark.layer           = i;
                mark.part            = p;
                tensor->extra        = &mark;
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
    context_of(tensor->buffer).store.read_tensor(which.layer, which.part, offset, size, data);
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
        return ggml_backend_buffer_init(type, calls, new buffer_context(*static_cast<expert_storage *>(type->context), size), size);
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

// --- results

slot_memory & memory_of(ggml_backend_buffer_t buffer) {
    return *static_cast<slot_memory *>(buffer->context);
}

void free_results(ggml_backend_buffer_t buffer) {
    delete &memory_of(buffer);
}

void * base_of_results(ggml_backend_buffer_t buffer) {
    return memory_of(buffer).data();
}

void memset_result(ggml_backend_buffer_t, ggml_tensor * tensor, uint8_t value, size_t offset, size_t size) {
    std::memset(static_cast<char *>(tensor->data) + offset, value, size);
}

void set_result(ggml_backend_buffer_t, ggml_tensor * tensor, const void * data, size_t offset, size_t size) {
    std::memcpy(static_cast<char *>(tensor->data) + offset, data, size);
}

void get_result(ggml_backend_buffer_t, const ggml_tensor * tensor, void * data, size_t offset, size_t size) {
    std::memcpy(data, static_cast<const char *>(tensor->data) + offset, size);
}

bool copy_result(ggml_backend_buffer_t, const ggml_tensor * from, ggml_tensor * to) {
    if (!ggml_backend_buffer_is_host(from->buffer)) {
        return false;
    }
    std::memcpy(to->data, from->data, ggml_nbytes(from));
    return true;
}

void clear_results(ggml_backend_buffer_t buffer, uint8_t value) {
    if (value != 0) {  // zero it is, untouched
        std::memset(memory_of(buffer).data(), value, buffer->size);
    }
}

const char * result_type_name(ggml_backend_buffer_type_t) {
    return "Experts' results";
}

ggml_backend_buffer_t alloc_results(ggml_backend_buffer_type_t type, size_t size) {
    ggml_backend_buffer_i calls{};
    calls.free_buffer   = free_results;
    calls.get_base      = base_of_results;
    calls.memset_tensor = memset_result;
    calls.set_tensor    = set_result;
    calls.get_tensor    = get_result;
    calls.cpy_tensor    = copy_result;
    calls.clear         = clear_results;
    try {
        return ggml_backend_buffer_init(type, calls, new slot_memory(size), size);
    } catch (const std::bad_alloc &) {
        return nullptr;
    }
}

bool is_results_host(ggml_backend_buffer_type_t) {
    return true;
}

}  // namespace

ggml_backend_buffer_type_t expert_result_type() {
    static ggml_backend_buffer_type type = [] {
        ggml_backend_buffer_type made{};
        made.iface.get_name      = result_type_name;
        made.iface.alloc_buffer  = alloc_results;
        made.iface.get_alignment = alignment;
        made.iface.is_host       = is_results_host;
        made.device              = expert_device();
        return made;
    }();
    return &type;
}

expert_buffer_type::expert_buffer_type(expert_storage & store) : type(std::make_unique<ggml_backend_buffer_type>()) {
    type->iface.get_name      = type_name;
    type->iface.alloc_buffer  = alloc_buffer;
    type->iface.get_alignment = alignment;
    type->iface.is_host       = is_host;
    type->device              = expert_device();
    type->context             = &store;
}

expert_buffer_type::~expert_buffer_type() = default;

expert_storage * expert_storage_of(ggml_backend_buffer_type_t type) {
    return type && type->iface.get_name == type_name ? static_cast<expert_storage *>(type->context) : nullptr;
}

bool is_stored_expert_tensor(const ggml_tensor * tensor) {
    return tensor && tensor->buffer && expert_storage_of(ggml_backend_buffer_get_type(tensor->buffer));
}

expert_tensor * expert_tensor_of(const ggml_tensor * tensor) {
    // Nobody else sets the `extra` of a tensor in host memory.
    const bool ours = tensor && tensor->buffer && (is_stored_expert_tensor(tensor) || ggml_backend_buffer_is_host(tensor->buffer));
    return ours ? static_cast<expert_tensor *>(tensor->extra) : nullptr;
}

}  // namespace moebius
