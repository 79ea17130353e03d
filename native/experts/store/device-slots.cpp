#include "device-slots.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <thread>

namespace moebius {

namespace {

uint64_t device_bytes_of(const expert_layer & layer) {
    return std::accumulate(layer.parts.begin(), layer.parts.end(), uint64_t(0), [](uint64_t sum, const expert_part & part) { return sum + part.bytes; });
}

// One slot of a slots tensor.
ggml_tensor * slot_view(ggml_context * context, ggml_tensor * slots, uint32_t slot) {
    ggml_tensor * view = ggml_view_2d(context, slots, slots->ne[0], slots->ne[1], slots->nb[1], slot * slots->nb[2]);
    ggml_backend_view_init(view);
    return view;
}

}  // namespace

uint64_t device_slot_bytes(const expert_layout & layout) {
    return std::accumulate(layout.layers.begin(), layout.layers.end(), uint64_t(0),
                           [](uint64_t sum, const expert_layer & layer) { return sum + device_bytes_of(layer); });
}

std::vector<uint32_t> device_slots_for(const expert_layout & layout, uint64_t bytes) {
    const uint64_t        everywhere = device_slot_bytes(layout);
    const uint32_t        each       = uint32_t(std::min<uint64_t>(bytes / everywhere, layout.experts));
    std::vector<uint32_t> slots(layout.layers.size(), each);
    uint64_t              left = bytes - each * everywhere;
    for (size_t i = 0; i < slots.size() && each < layout.experts; i++) {
        const uint64_t one = device_bytes_of(layout.layers[i]);
        if (one <= left) {
            slots[i]++;
            left -= one;
        }
    }
    return slots;
}

uint64_t device_slots_bytes(const expert_layout & layout, const std::vector<uint32_t> & counts) {
    uint64_t sum = 0;
    for (size_t i = 0; i < counts.size(); i++) {
        sum += counts[i] * device_bytes_of(layout.layers[i]);
    }
    return sum;
}

device_slots::device_slots(ggml_backend_dev_t device, const expert_layout & all, const std::vector<uint32_t> & counts, const device_slots * beside)
    : where(device), layout(all), driver(beside ? beside->driver : std::make_shared<driver_lock>()) {
    for (uint32_t i = 0; i < layout.layers.size(); i++) {
        layers.push_back(allocate(i, counts[i]));
        allocated += layers[i].count > 0 ? ggml_backend_buffer_get_size(layers[i].buffer.get()) : 0;
    }
}

device_slots::layer_slots device_slots::allocate(uint32_t layer, uint32_t count) const {
    layer_slots made;
    made.count = count;
    if (count == 0) {
        return made;
    }
    const std::vector<expert_part> & parts = layout.layers[layer].parts;
    made.context.reset(ggml_init({ parts.size() * ggml_tensor_overhead(), nullptr, true }));
    for (const expert_part & part : parts) {
        made.parts.push_back(ggml_new_tensor_3d(made.context.get(), part.type, part.n_in, part.n_out, count));
        ggml_format_name(made.parts.back(), "slots.%u.%d", layer, int(part.matrix));  // a graph names leaves that have no name, and others may be writing to these
    }
    made.buffer.reset(ggml_backend_alloc_ctx_tensors_from_buft(made.context.get(), ggml_backend_dev_buffer_type(where)));
    if (!made.buffer) {
        const uint64_t need = count * device_bytes_of(layout.layers[layer]);
        size_t         free = 0, total = 0;
        ggml_backend_dev_memory(where, &free, &total);
        throw user_error("model.does-not-fit",
                         id() + " has no room for " + std::to_string(count) + " experts of layer " + std::to_string(layout.layers[layer].block) + ": they take " +
                             std::to_string(need) + " bytes, and it says that " + std::to_string(free) + " are free. Give experts less memory there (expertDeviceBytes).",
                         { { "need", need }, { "have", free }, { "device", id() } });
    }
    ggml_backend_buffer_set_usage(made.buffer.get(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    return made;
}

device_slots::use::use(device_slots & slots) {
    slots.driver->urgent++;
    lock = std::unique_lock<std::mutex>(slots.driver->mutex);
    slots.driver->urgent--;
}

void device_slots::write(uint32_t layer, uint32_t slot, uint32_t part, const uint8_t * data) {
    constexpr uint64_t piece  = 1 << 20;
    ggml_tensor *      tensor = layers[layer].parts[part];
    const uint64_t     bytes  = layout.layers[layer].parts[part].bytes;
    for (uint64_t at = 0; at < bytes; at += piece) {
        while (driver->urgent > 0) {
            std::this_thread::sleep_for(std::chrono::microseconds(20));
        }
        const std::lock_guard<std::mutex> lock(driver->mutex);
        ggml_backend_tensor_set(tensor, data + at, slot * tensor->nb[2] + at, std::min(piece, bytes - at));
    }
}

void device_slots::resize(uint32_t layer, uint32_t count, const std::vector<slot_move> & kept) {
    const std::lock_guard<std::mutex> lock(driver->mutex);
    layer_slots &                     before = layers[layer];
    layer_slots                       next   = allocate(layer, count);
    if (!kept.empty()) {
        const ggml_context_ptr context(ggml_init({ 2 * kept.size() * before.parts.size() * ggml_tensor_overhead(), nullptr, true }));
        for (size_t p = 0; p < before.parts.size(); p++) {
            for (const slot_move & move : kept) {
                ggml_backend_tensor_copy(slot_view(context.get(), before.parts[p], move.from), slot_view(context.get(), next.parts[p], move.to));
            }
        }
    }
    const auto size = [](const layer_slots & slots) { return slots.buffer ? ggml_backend_buffer_get_size(slots.buffer.get()) : 0; };
    allocated += size(next);
    allocated -= size(before);
    before = std::move(next);
}

}  // namespace moebius
