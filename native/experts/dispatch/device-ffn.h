// The expert FFN of one layer on one device, for the assignments (a token and one of its experts) whose experts have a slot there.
#pragma once

#include "device-batch.h"
#include "experts/store/device-slots.h"

#include <functional>

namespace moebius {

class device_ffn {
  public:
    // The device multiplies by matrices of all of the layout's types, chosen by index.
    static bool supports(ggml_backend_dev_t device, const expert_layout & layout);

    // Memory on the device that the constructor takes.
    static uint64_t scratch_bytes(ggml_backend_dev_t device, const expert_layout & layout, uint32_t tokens);

    // tokens: of the largest batch. Throws model.does-not-fit.
    device_ffn(device_slots & slots, const expert_layout & layout, uint32_t tokens);

    // Starts to compute, and returns before it is done if the device works by itself. `work` is sorted by token; of `input`
    // [tokens][n_embd] it takes copies. False: the device failed. Else `wait` has to follow.
    bool start(uint32_t layer, row_view input, std::vector<device_assignment> work);

    // Waits. False: the device failed; nothing of the work is to be used.
    bool wait();

    // That it computes, with the sums once `wait` has returned.
    device_batch batch;

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
        explicit graph_inputs(ggml_backend_dev_t device) : weights(device), ids(device), columns(device), ranks(device) {}

        transfer_memory<float>   weights;
        transfer_memory<int32_t> ids, columns, ranks;
    };

    static graph_tensors build(ggml_context * context, const std::vector<ggml_tensor *> & parts, bool fused, const graph_shape & shape);
    static graph_shape   largest(const expert_layout & layout, uint32_t tokens, bool even);
    static void          each_reserved(const expert_layout & layout, uint32_t tokens, const std::function<void(ggml_cgraph *)> & reserve);
    bool                 is_fused(uint32_t layer) const;
    void                 take_chunk();
    graph_shape          chunk_shape() const;
    void                 fill_inputs(const graph_shape & shape);
    bool                 launch();

    device_slots &                 slots;
    const expert_layout &          layout;
    ggml_backend_ptr               backend;
    ggml_gallocr_ptr               allocator;
    ggml_backend_event_ptr         ended;         // of another machine's: to synchronise takes its link's thread once more; else null
    std::vector<uint8_t>           graph_memory;
    ggml_context_ptr               context;       // of the graph that runs, in graph_memory
    graph_tensors                  running;
    graph_inputs                   inputs;
    uint32_t                       layer   = 0;
    bool                           started = false;  // the device has been told
    size_t                         first = 0, last = 0;  // tokens of the batch that run; those before are done
};

}  // namespace moebius
