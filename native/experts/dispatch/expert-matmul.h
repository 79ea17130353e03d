// One MUL_MAT_ID with a source's matrix, on the CPU's threads: y[t,k] = W_id[t,k] x[t, k or 0]. For graphs in which something stands
// between the matrices of the experts (a LoRA, a bias, another activation), so that expert_ffn cannot take them together.
#pragma once

#include "expert-ffn.h"

namespace moebius {

class expert_matmul {
  public:
    expert_matmul(expert_source & source, const cpu_kernels & kernels) : source(source), kernels(kernels) {}

    // ids: [tokens][used]. `input` has one row per token, or (`input_each`) one per token and k; `output` one per token and k.
    void prepare(uint32_t layer, uint32_t part, std::vector<int32_t> ids, int64_t used, std::vector<const float *> input, bool input_each,
                 std::vector<float *> output);

    // Every thread calls it once after `prepare`.
    void run();

    // False: an expert could not be read.
    bool finish() const { return !failed; }

  private:
    void quantise();
    void multiply(uint32_t group);

    expert_source &            source;
    const cpu_kernels &        kernels;
    uint32_t                   layer = 0, part = 0;
    int64_t                    used = 1;
    bool                       input_each = false;
    std::vector<int32_t>       ids;
    std::vector<const float *> input;
    std::vector<float *>       output;
    std::vector<expert_use>    uses;
    std::vector<std::vector<uint32_t>> members;  // by use: indices into ids
    ggml_type                  row_type  = GGML_TYPE_F32;
    size_t                     row_bytes = 0;
    std::vector<uint8_t>       rows;
    std::atomic<uint32_t>      next_row{ 0 }, rows_ready{ 0 }, next_group{ 0 };
    std::atomic<bool>          failed{ false };
};

}  // namespace moebius
