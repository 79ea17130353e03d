// Memory and computation of training graphs on one device.
#pragma once

#include "float-rows.h"
#include "model/threadpool.h"

#include <ggml-backend.h>
#include <ggml-cpp.h>

#include <vector>

namespace moebius {

// Memory for graphs, one after the other.
class graph_memory {
  public:
    explicit graph_memory(ggml_backend_dev_t device) : device(device) {}

    // For a graph's tensors that have none; of the last graph again where it is enough. Throws user_error model.does-not-fit.
    void allocate(ggml_cgraph * graph);

    size_t held() const { return allocator ? ggml_gallocr_get_buffer_size(allocator.get(), 0) : 0; }  // bytes
    void   release() { allocator.reset(); }

    // Bytes that a graph's tensors take on a device; nothing is allocated.
    static size_t needed(ggml_backend_dev_t device, ggml_cgraph * graph);

  private:
    ggml_backend_dev_t device;
    ggml_gallocr_ptr   allocator;
};

// Threads of CPU devices, for runners that compute one after the other. Other devices decide themselves.
struct train_threads {
    int        count;
    threadpool pool;

    train_threads(int count) : count(count), pool(threadpool_start(count, true)) {}
};

class train_runner {
  public:
    train_runner(ggml_backend_dev_t device, const train_threads & threads);

    void allocate(ggml_cgraph * graph) { own.allocate(graph); }

    // Its nodes from `begin` up to `end`. Throws user_error device.lost.
    void compute(ggml_cgraph * graph, int begin, int end);
    void compute(ggml_cgraph * graph) { compute(graph, 0, ggml_graph_n_nodes(graph)); }

    static void               write(ggml_tensor * tensor, const void * data) { ggml_backend_tensor_set(tensor, data, 0, ggml_nbytes(tensor)); }
    static float_rows read(const ggml_tensor * tensor);  // F32

  private:
    void compute_at_once(ggml_cgraph * graph, int begin, int end);

    ggml_backend_dev_t device;
    threadpool         pool;
    ggml_backend_ptr   backend;
    graph_memory       own;
    bool               is_one_by_one;  // nodes
};

// Tensors that live longer than a graph: weights, adapters, sums of gradients.
class train_tensors {
  public:
    train_tensors(ggml_backend_dev_t device, size_t most);

    ggml_tensor * make(ggml_type type, int64_t n0, int64_t n1 = 1, int64_t n2 = 1) const;

    // Memory for all that were made, once. Throws user_error model.does-not-fit.
    void allocate();

  private:
    ggml_backend_dev_t      device;
    ggml_context_ptr        context;
    ggml_backend_buffer_ptr buffer;
};

}  // namespace moebius
