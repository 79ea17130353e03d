#include "runner.h"

#include "rpc/errors.h"

namespace moebius {

namespace {

user_error no_room(ggml_backend_dev_t device, const char * what) {
    return user_error("model.does-not-fit", std::string(ggml_backend_dev_name(device)) + " has no room for " + what + ". Train on fewer tokens at once.",
                      { { "device", ggml_backend_dev_name(device) } });
}

// Mesa's lavapipe (22.3) was seen to damage the heap while it ran graphs of experts, cause not found; node by node it did not. With attention on it, it does so even then.
bool is_software_gpu(ggml_backend_dev_t device) {
    return std::string(ggml_backend_dev_description(device)).find("llvmpipe") != std::string::npos;
}

}  // namespace

void graph_memory::allocate(ggml_cgraph * graph) {
    if (!allocator) {
        allocator.reset(ggml_gallocr_new(ggml_backend_dev_buffer_type(device)));
    }
    if (!ggml_gallocr_alloc_graph(allocator.get(), graph)) {
        throw no_room(device, "this training graph");
    }
}

size_t graph_memory::needed(ggml_backend_dev_t device, ggml_cgraph * graph) {
    const ggml_gallocr_ptr measure(ggml_gallocr_new(ggml_backend_dev_buffer_type(device)));  // another one: the graph would seem to have been allocated
    size_t                 bytes = 0;
    ggml_gallocr_reserve_n_size(measure.get(), graph, nullptr, nullptr, &bytes);
    return bytes;
}

train_runner::train_runner(ggml_backend_dev_t device, const train_threads & threads)
    : device(device), pool(threads.pool), backend(ggml_backend_dev_init(device, nullptr)), own(device), is_one_by_one(is_software_gpu(device)) {
    if (!backend) {
        throw no_room(device, "anything");
    }
    threadpool_attach(backend.get(), pool, threads.count);
}

void train_runner::compute(ggml_cgraph * graph, int begin, int end) {
    const int at_once = is_one_by_one ? 1 : end - begin;
    for (int i = begin; i < end; i += at_once) {
        compute_at_once(graph, i, i + at_once);
    }
}

void train_runner::compute_at_once(ggml_cgraph * graph, int begin, int end) {
    ggml_context_ptr memory;
    ggml_cgraph *    part = graph;
    if (begin != 0 || end != ggml_graph_n_nodes(graph)) {
        memory.reset(ggml_init({ ggml_graph_overhead_custom(size_t(end - begin), false), nullptr, true }));
        part = ggml_new_graph_custom(memory.get(), size_t(end - begin), false);
        for (int i = begin; i < end; i++) {
            ggml_graph_add_node(part, ggml_graph_node(graph, i));
        }
    }
    if (ggml_backend_graph_compute(backend.get(), part) != GGML_STATUS_SUCCESS) {
        throw user_error("device.lost", std::string(ggml_backend_dev_name(device)) + " failed in the middle of training.", { { "device", ggml_backend_dev_name(device) } });
    }
}

float_rows train_runner::read(const ggml_tensor * tensor) {
    float_rows values(size_t(ggml_nelements(tensor)));
    ggml_backend_tensor_get(tensor, values.data(), 0, ggml_nbytes(tensor));
    return values;
}

train_tensors::train_tensors(ggml_backend_dev_t device, size_t most) : device(device), context(ggml_init({ most * ggml_tensor_overhead(), nullptr, true })) {}

ggml_tensor * train_tensors::make(ggml_type type, int64_t n0, int64_t n1, int64_t n2) const {
    return ggml_new_tensor_3d(context.get(), type, n0, n1, n2);
}

void train_tensors::allocate() {
    if (!ggml_get_first_tensor(context.get())) {
        return;
    }
    buffer.reset(ggml_backend_alloc_ctx_tensors_from_buft(context.get(), ggml_backend_dev_buffer_type(device)));
    if (!buffer) {
        throw no_room(device, "the trained tensors");
    }
}

}  // namespace moebius
