#include "counting-device.h"

#include <ggml-backend-impl.h>

#include <algorithm>
#include <atomic>
#include <cstring>

namespace moebius {

struct counting_device::parts {
    ggml_backend_dev_t       of = nullptr;
    std::function<void()>    on_work;
    ggml_backend_device      device{};
    ggml_backend_buffer_type type{};
    std::atomic<uint64_t>    bytes{ 0 }, most{ 0 }, drawn{ 1 };

    ggml_backend_buffer_type_t type_of() const { return ggml_backend_dev_buffer_type(of); }
};

namespace {

// Where no memory is; aligned for every device. Nobody reads or writes there.
void * const nowhere = reinterpret_cast<void *>(uintptr_t(1) << 40);

// Numerical Recipes' generator, of which the high bits are used.
void fill_randomly(float * values, size_t count, uint32_t state) {
    for (size_t i = 0; i < count; i++) {
        state     = state * 1664525u + 1013904223u;
        values[i] = float(state >> 8) * 0x1p-24f;
    }
}

const char * registry_name(ggml_backend_reg_t) { return "counting"; }
size_t       registry_count(ggml_backend_reg_t) { return 0; }
ggml_backend_dev_t registry_device(ggml_backend_reg_t, size_t) { return nullptr; }

ggml_backend_reg registry = { GGML_BACKEND_API_VERSION, { registry_name, registry_count, registry_device, nullptr }, nullptr };

ggml_guid identity = { 0x6d, 0x6f, 0x65, 0x62, 0x69, 0x75, 0x73, 0x2d, 0x63, 0x6f, 0x75, 0x6e, 0x74, 0x69, 0x6e, 0x67 };

}  // namespace

// ggml's tables of functions for the parts, which their contexts are.
struct counting_calls {
    using parts = counting_device::parts;

    static parts & of(ggml_backend_buffer_t buffer) { return *static_cast<parts *>(buffer->context); }
    static parts & of(ggml_backend_buffer_type_t type) { return *static_cast<parts *>(type->context); }
    static parts & of(ggml_backend_dev_t device) { return *static_cast<parts *>(device->context); }

    static ggml_backend_buffer_i buffer() {
        ggml_backend_buffer_i calls{};
        calls.free_buffer   = [](ggml_backend_buffer_t buffer) { of(buffer).bytes -= buffer->size; };
        calls.get_base      = [](ggml_backend_buffer_t) { return nowhere; };
        calls.memset_tensor = [](ggml_backend_buffer_t, ggml_tensor *, uint8_t, size_t, size_t) {};
        calls.set_tensor    = [](ggml_backend_buffer_t buffer, ggml_tensor *, const void *, size_t, size_t) { of(buffer).on_work(); };
        calls.get_tensor    = [](ggml_backend_buffer_t buffer, const ggml_tensor * tensor, void * data, size_t, size_t size) {
            of(buffer).on_work();
            if (tensor->type == GGML_TYPE_F32) {
                fill_randomly(static_cast<float *>(data), size / sizeof(float), uint32_t(of(buffer).drawn++));
            } else {
                std::memset(data, 0, size);
            }
        };
        calls.clear = [](ggml_backend_buffer_t, uint8_t) {};
        return calls;
    }

    static ggml_backend_buffer_t allocate(ggml_backend_buffer_type_t type, size_t size) {
        parts &        all = of(type);
        const uint64_t now = all.bytes += size;
        for (uint64_t most = all.most; most < now && !all.most.compare_exchange_weak(most, now);) {
        }
        all.on_work();
        return ggml_backend_buffer_init(type, buffer(), &all, size);
    }

    static ggml_backend_buffer_type_i type() {
        ggml_backend_buffer_type_i calls{};
        calls.get_name       = [](ggml_backend_buffer_type_t) { return "counting"; };
        calls.alloc_buffer   = allocate;
        calls.get_alignment  = [](ggml_backend_buffer_type_t type) { return ggml_backend_buft_get_alignment(of(type).type_of()); };
        calls.get_max_size   = [](ggml_backend_buffer_type_t type) { return ggml_backend_buft_get_max_size(of(type).type_of()); };
        calls.get_alloc_size = [](ggml_backend_buffer_type_t type, const ggml_tensor * tensor) { return ggml_backend_buft_get_alloc_size(of(type).type_of(), tensor); };
        return calls;
    }

    static ggml_backend_t backend(ggml_backend_dev_t device, const char *) {
        ggml_backend_i calls{};
        calls.get_name      = [](ggml_backend_t) { return "counting"; };
        calls.free          = [](ggml_backend_t backend) { delete backend; };
        calls.graph_compute = [](ggml_backend_t backend, ggml_cgraph *) {
            of(backend->device).on_work();
            return GGML_STATUS_SUCCESS;
        };
        return new ggml_backend{ &identity, calls, device, nullptr };
    }

    static ggml_backend_device_i device() {
        ggml_backend_device_i calls{};
        calls.get_name        = [](ggml_backend_dev_t device) { return ggml_backend_dev_name(of(device).of); };
        calls.get_description = [](ggml_backend_dev_t) { return "counts what another device would need"; };
        calls.get_memory      = [](ggml_backend_dev_t device, size_t * free, size_t * total) { ggml_backend_dev_memory(of(device).of, free, total); };
        calls.get_type        = [](ggml_backend_dev_t device) { return ggml_backend_dev_type(of(device).of); };
        calls.get_props       = [](ggml_backend_dev_t device, ggml_backend_dev_props * props) { ggml_backend_dev_get_props(of(device).of, props); };
        calls.init_backend    = backend;
        calls.get_buffer_type = [](ggml_backend_dev_t device) { return &of(device).type; };
        calls.supports_op     = [](ggml_backend_dev_t device, const ggml_tensor * node) { return ggml_backend_dev_supports_op(of(device).of, node); };
        calls.supports_buft   = [](ggml_backend_dev_t device, ggml_backend_buffer_type_t type) { return type == &of(device).type; };
        return calls;
    }
};

counting_device::counting_device(ggml_backend_dev_t of, std::function<void()> on_work) : made(std::make_unique<parts>()) {
    made->of      = of;
    made->on_work = std::move(on_work);
    made->device  = { counting_calls::device(), &registry, made.get() };
    made->type    = { counting_calls::type(), &made->device, made.get() };
}

counting_device::~counting_device() = default;

ggml_backend_dev_t counting_device::device() const { return &made->device; }

ggml_backend_dev_t counting_device::stands_for() const { return made->of; }

uint64_t counting_device::bytes() const { return made->bytes; }

uint64_t counting_device::most() const { return made->most; }

}  // namespace moebius
