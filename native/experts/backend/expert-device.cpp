#include "expert-device.h"

#include "expert-buffer.h"
#include "expert-executor.h"
#include "graph-match.h"

#include <ggml-backend-impl.h>

#include <cstring>

namespace moebius {

namespace {

constexpr const char * name = "Experts";

// --- a backend: one for each llama_context

expert_executor & executor_of(ggml_backend_t backend) {
    return *static_cast<expert_executor *>(backend->context);
}

const char * backend_name(ggml_backend_t) {
    return name;
}

void free_backend(ggml_backend_t backend) {
    delete &executor_of(backend);
    delete backend;
}

ggml_status graph_compute(ggml_backend_t backend, ggml_cgraph * graph) {
    return executor_of(backend).compute(graph);
}

void set_threads(ggml_backend_t backend, int threads) {
    executor_of(backend).set_threads(threads);
}

ggml_guid_t guid() {
    static ggml_guid value = { 0x6d, 0x6f, 0x65, 0x62, 0x69, 0x75, 0x73, 0x2d, 0x65, 0x78, 0x70, 0x65, 0x72, 0x74, 0x73, 0x31 };
    return &value;
}

ggml_backend_t init_backend(ggml_backend_dev_t device, const char *) {
    ggml_backend_i calls{};
    calls.get_name      = backend_name;
    calls.free          = free_backend;
    calls.graph_compute = graph_compute;
    return new ggml_backend{ guid(), calls, device, new expert_executor() };
}

// --- the device

const char * device_name(ggml_backend_dev_t) {
    return name;
}

const char * device_description(ggml_backend_dev_t) {
    return "routed experts from RAM and disk";
}

void device_memory(ggml_backend_dev_t, size_t * free, size_t * total) {
    *free = *total = 0;
}

enum ggml_backend_dev_type device_type(ggml_backend_dev_t) {
    return GGML_BACKEND_DEVICE_TYPE_ACCEL;
}

void device_properties(ggml_backend_dev_t device, ggml_backend_dev_props * properties) {
    *properties             = {};
    properties->name        = device_name(device);
    properties->description = device_description(device);
    properties->type        = device_type(device);
}

// Of results. Weights come by override.
ggml_backend_buffer_type_t default_buffer_type(ggml_backend_dev_t) {
    return expert_result_type();
}

bool supports_op(ggml_backend_dev_t, const ggml_tensor * node) {
    return uses_experts(node);
}

bool supports_buffer_type(ggml_backend_dev_t, ggml_backend_buffer_type_t type) {
    return expert_storage_of(type) || ggml_backend_buft_is_host(type);
}

// --- the registry

extern ggml_backend_reg registry;

ggml_backend_device make_device() {
    ggml_backend_device_i calls{};
    calls.get_name        = device_name;
    calls.get_description = device_description;
    calls.get_memory      = device_memory;
    calls.get_type        = device_type;
    calls.get_props       = device_properties;
    calls.init_backend    = init_backend;
    calls.get_buffer_type = default_buffer_type;
    calls.supports_op     = supports_op;
    calls.supports_buft   = supports_buffer_type;
    return { calls, &registry, nullptr };
}

ggml_backend_device device = make_device();

const char * registry_name(ggml_backend_reg_t) {
    return name;
}

size_t registry_device_count(ggml_backend_reg_t) {
    return 1;
}

ggml_backend_dev_t registry_device(ggml_backend_reg_t, size_t) {
    return &device;
}

void * registry_function(ggml_backend_reg_t, const char * function) {
    return std::strcmp(function, "ggml_backend_set_n_threads") == 0 ? reinterpret_cast<void *>(set_threads) : nullptr;
}

ggml_backend_reg registry = { GGML_BACKEND_API_VERSION, { registry_name, registry_device_count, registry_device, registry_function }, nullptr };

}  // namespace

ggml_backend_dev_t expert_device() {
    static const bool registered = [] {
        ggml_backend_register(&registry);
        return true;
    }();
    (void) registered;
    return &device;
}

}  // namespace moebius
