// Runs the graphs of the experts' device for one llama_context.
#pragma once

#include "experts/dispatch/expert-ffn.h"
#include "experts/dispatch/expert-matmul.h"
#include "graph-match.h"

#include <ggml-cpp.h>

namespace moebius {

class expert_executor {
  public:
    expert_executor();

    void        set_threads(int count) { threads = count; }
    ggml_status compute(ggml_cgraph * graph);

  private:
    ggml_status compute_ffn(const moe_ffn_nodes & nodes);
    bool        compute_on_devices(expert_source & source, const expert_batch * low, row_view input, row_view output);
    // `low`: what is to be added to it, computed with experts in fewer bits; null: nothing.
    bool        compute_on_threads(expert_source & source, const expert_batch & work, const expert_batch * low, row_view input, row_view output);
    bool        add_low(expert_source & source, std::unique_lock<std::mutex> & session, const expert_batch & low, row_view output);
    ggml_status compute_matmul(ggml_tensor * node, const expert_tensor & which);
    ggml_status compute_loaded(ggml_tensor * node, expert_tensor & which);
    ggml_status compute_on_cpu(ggml_tensor * node);
    // Calls run(self) on every thread of the CPU backend. `tokens` picks the pool as llama.cpp does.
    ggml_status on_all_threads(expert_source & source, int64_t tokens, void (*run)(void * self), void * self);
    void        use_pool(const expert_source & source, int64_t tokens);

    int                         threads = 1;
    ggml_backend_ptr            cpu;
    ggml_threadpool_t           pool = nullptr;
    std::vector<uint8_t>        graph_memory;
    expert_batch                batch;
    std::vector<float>          low_rows;  // [tokens][n_embd]
    expert_source *             last_source = nullptr;
    std::unique_ptr<expert_ffn> ffn;  // of last_source
};

}  // namespace moebius
