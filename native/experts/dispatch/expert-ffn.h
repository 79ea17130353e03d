// The expert FFN of one layer for one batch, on the CPU's threads: y[t] = sum_k weight[t,k] * down_e(swiglu(gate_e(x[t]), up_e(x[t]))), e = id[t,k].
//
// All threads take tasks (a block of rows of one expert, for all tokens that chose it) from one list; there is no barrier between
// matrices. An expert's `down` waits for its own gate and up only, so the list lets them lag one expert behind, and threads that
// would wait for the disk first finish what is there. Kernels, quantisation of activations and the order of every sum are those of
// llama.cpp's CPU backend without repacking: the result has the same bits.
#pragma once

#include "cpu-kernels.h"
#include "expert-batch.h"
#include "experts/store/expert-source.h"
#include "row-view.h"

#include <atomic>
#include <vector>

namespace moebius {

class expert_ffn {
  public:
    // Kernels for all of the layout's types are there.
    static bool supports(const expert_layout & layout);

    // Memory that batches of so many tokens need, inputs and outputs of the FFN included.
    static uint64_t scratch_bytes(const expert_layout & layout, uint32_t tokens);

    expert_ffn(expert_source & source, const cpu_kernels & kernels) : source(source), kernels(kernels) {}

    // Groups the batch by expert and begins it at the source. `input` [tokens][n_embd] and `output` [tokens][n_embd] may overlap:
    // output is written when input has been read.
    void prepare(const expert_batch & batch, row_view input, row_view output, int threads);

    // Every thread calls it once after `prepare`; all is done when all have returned.
    void run();

    // After all have returned. False: an expert could not be read; the output is undefined.
    bool finish();

  private:
    struct group {  // the tokens of one expert
        uint32_t                expert = 0;
        uint32_t                first  = 0;  // into `members`
        uint32_t                count  = 0;
        std::atomic<uint32_t>   hidden_left{ 0 };  // tasks
        std::atomic<uint32_t>   output_left{ 0 };
    };
    enum class phase : uint8_t { hidden, output, combine };
    struct task {
        uint32_t group;
        phase    step;
        int64_t  begin, end;  // rows; combine: assignments of output values, see combine()
    };

    void group_by_expert();
    void list_tasks(int threads);
    void add_tasks(uint32_t group, phase step, int64_t rows, int64_t block);
    void quantise_input();
    void hidden(group & group, int64_t begin, int64_t end);
    void output_rows(group & group, int64_t begin, int64_t end);
    void combine(int64_t begin, int64_t end);
    void end_of_group(group & group);

    expert_source &            source;
    const cpu_kernels &        kernels;
    expert_batch               batch;
    row_view                   input, output;
    const expert_layer *       layer = nullptr;
    int64_t                    n_embd = 0, n_ff = 0;
    ggml_type                  input_type = GGML_TYPE_F32, hidden_type = GGML_TYPE_F32;  // that the kernels want
    size_t                     input_bytes = 0, hidden_bytes = 0;                        // of a row
    std::vector<expert_use>    uses;
    std::vector<uint32_t>      members;  // assignments (token * used + k), by group
    std::vector<group>         groups;
    std::vector<task>          tasks;
    std::vector<uint8_t>       inputs;   // [tokens] rows of input_type
    std::vector<uint8_t>       hiddens;  // [tokens * used] rows of hidden_type
    std::vector<float>         outputs;  // [tokens * used][n_embd]
    std::atomic<uint32_t>      next_token{ 0 }, tokens_ready{ 0 }, next_task{ 0 }, groups_left{ 0 };
    std::atomic<bool>          failed{ false };
};

}  // namespace moebius
