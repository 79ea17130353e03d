// The expert FFN of one layer on one device, for the assignments (a token and one of its experts) whose experts have a slot there.
#pragma once

#include "expert-batch.h"
#include "experts/store/device-slots.h"
#include "row-view.h"

#include <functional>

namespace moebius {

struct device_assignment {
    uint32_t token  = 0;
    uint32_t slot   = 0;
    int32_t  expert = 0;
    float    weight = 0;
};

class device_ffn {
  public:
    // The device multiplies by matrices of all of the layout's types, chosen by index.
    static bool supports(ggml_backend_dev_t device, const expert_layout & layout);

    // Memory on the device that the constructor takes.
    static uint64_t scratch_bytes(ggml_backend_dev_t device, const expert_layout & layout, uint32_t tokens);

    // tokens: of the largest batch. Throws model.does-not-fit.
    device_ffn(device_slots & slots, const expert_layout & layout, uint32_t tokens);

    // Starts to compute, and returns before it is done if the device works by itself. `work` is sorted by token; of `input`
    // [tokens][n_embd] it takes copies. False: the device failed.
    bool start(uint32_t layer, row_view input, std::vector<device_assignment> work);

    // Waits. False: the device failed; nothing of the work is to be used.
    bool wait();

    // Adds the weighted sums to the rows of `output` [tokens][n_embd] that the work is for.
    void add_to(row_view output) const;

    // The work as a batch of its tokens, each with up to `used` experts, for somebody else to compute: from `input` to `output`, before add_to.
    expert_batch as_batch(int64_t used) const;
    row_view     input();
    row_view     output();

  private:
    // Sizes of a graph. Even: every token has as many assignments, `most`.
    struct graph_shape {
        int64_t tokens = 0, assignments = 0, most = 0;  // most: of a token

        bool even() const { return tokens * most == assignments; }
    };
    struct graph_tensors {
        ggml_cgraph * graph   = nullptr;
        ggml_tensor * input   = nullptr;  // F32 [n_embd, tokens]
        ggml_tensor * ids     = nullptr;  // I32 slots: [most, tokens]; uneven: [1, assignments]
        ggml_tensor * weights = nullptr;  // F32 [1, most, tokens]; uneven: [1, tokens, most], 0 for what a token lacks
        ggml_tensor * columns = nullptr;  // I32 [assignments], their tokens; uneven only
        ggml_tensor * ranks   = nullptr;  // I32 [tokens, most], the assignments of a token; uneven only
        ggml_tensor * output  = nullptr;  // F32 [n_embd, tokens]
    };
    // Of a graph that runs, which may still read them.
    struct graph_inputs {
        std::vector<float>   input, weights;
        std::vector<int32_t> ids, columns, ranks;
    };

    static graph_tensors build(ggml_context * context, const std::vector<ggml_tensor *> & parts, bool fused, const graph_shape & shape);
    static graph_shape   largest(const expert_layout & layout, uint32_t tokens, bool even);
    static void          each_reserved(const expert_layout & layout, uint32_t tokens, const std::function<void(ggml_cgraph *)> & reserve);
    bool                 is_fused(uint32_t layer) const;
    void                 take_chunk();
    graph_shape          chunk_shape() const;
    void                 fill_inputs(const graph_shape & shape);
    bool                 launch();
    void                 collect();

    device_slots &                 slots;
    const expert_layout &          layout;
    ggml_backend_ptr               backend;
    ggml_gallocr_ptr               allocator;
    ggml_context_ptr               context;  // of the graph that runs
    graph_tensors                  running;
    graph_inputs                   inputs;
    uint32_t                       layer = 0;
    std::vector<device_assignment> work;
    std::vector<size_t>            begins;  // of each of its tokens, in `work`, and the end
    std::vector<float>             rows;    // [tokens of the work][n_embd]
    std::vector<float>             sums;    // of the same shape
    size_t                         first = 0, last = 0;  // tokens of the work that run; those before are done
};

}  // namespace moebius
