// Micro-benchmark: how long nodes of a graph take on a device of this machine, each by itself.
#pragma once

#include "experts/dispatch/expert-ffn.h"
#include "experts/policy/cost-model.h"
#include "threadpool.h"

#include <ggml-backend.h>
#include <ggml-cpp.h>

#include <functional>
#include <map>

namespace moebius {

// What was measured stays for the life of the timer. Used by one thread at a time. Measuring throws model.does-not-fit where the device has no room for it.
class node_timer {
  public:
    // threads: of the CPU backend; other devices ignore them.
    node_timer(ggml_backend_dev_t device, int32_t threads);
    ~node_timer();

    // Of one node of the graph of a model that is open without weights. `working_set`: bytes that pass between two uses of its weights;
    // as many are used here, up to a limit and to half of the device's free memory. What would take long is measured with fewer tokens or experts, and scaled. `context`: see node_copy.
    double seconds(const ggml_tensor * node, double working_set, uint32_t context);

    // Of an FFN of routed experts as the experts' device computes it, everything in RAM: `tokens` tokens that use all experts alike.
    double expert_seconds(const expert_layout & layout, uint32_t layer, uint32_t tokens);

    // Of the same FFN as llama.cpp computes it on a device that has all experts of the layer.
    double stack_seconds(const expert_layout & layout, uint32_t layer, uint32_t tokens);

    // On a device that is not the CPU: of batches of experts of a layer, as device_dispatch has them computed there, while `beside` threads of the CPU compute, too; the link is part of it. Throws
    // model.load-failed, model.does-not-fit.
    batch_cost device_experts(const expert_layout & layout, uint32_t layer, int beside);

    int32_t cpu_threads() const { return threads; }

    // Of computing a graph at all, and of each node of it that does nothing.
    double graph_seconds();
    // Of a piece of a graph in turn with other pieces, besides its nodes.
    double piece_seconds();
    double node_seconds();

    // Until a few bytes that lie in the device's memory are in RAM; 0: it works in RAM.
    double wait_seconds();
    // That one more of these costs when several are asked for at once.
    double read_seconds();

    // Bytes per second from RAM to memory of the device; 0: it works in RAM.
    double link_bandwidth();

    // Of products of a matrix of `type`: bytes per second with one column from beyond the caches, operations per second with many.
    double bandwidth(ggml_type type);
    double flops(ggml_type type);

  private:
    double once(const std::string & key, const std::function<double()> & measure);
    double measure_matmul(ggml_type type, int64_t columns, int64_t copies);
    struct trivial_graph;
    void   wait_for(ggml_cgraph * graph);
    void   run_once(ggml_cgraph * graph);
    double run(ggml_cgraph * graph);
    double room() const;
    double measure_trivial(int nodes);
    double measure_reads(int count);

    ggml_backend_ptr                  backend;
    threadpool                        pool;
    bool                              on_cpu  = false;
    int32_t                           threads = 1;
    std::map<std::string, double>     known;
    std::map<std::string, batch_cost> known_experts;
};

// Of one expert: operations for a token, bytes of weights.
double expert_operations(const expert_layer & layer);
double expert_bytes(const expert_layer & layer);

// Reads of whole experts from the model's files, past the page cache, by as many threads as the expert store has: seconds of n of them at once.
batch_cost measure_expert_reads(const expert_layout & layout);

}  // namespace moebius
