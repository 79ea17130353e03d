// What one device is to compute of a layer's batch: assignments of tokens to experts, with the rows of those tokens gathered, and their sums.
#pragma once

#include "expert-batch.h"
#include "row-view.h"
#include "transfer-memory.h"

namespace moebius {

struct device_assignment {
    uint32_t token  = 0;
    uint32_t slot   = 0;  // of the expert on the device
    int32_t  expert = 0;
    float    weight = 0;
};

class device_batch {
  public:
    explicit device_batch(ggml_backend_dev_t device) : rows(device), sums(device) {}

    // work: sorted by token. Copies its rows of `input` [tokens of the whole batch][n_embd].
    void gather(row_view input, size_t n_embd, std::vector<device_assignment> work);

    size_t                                 tokens() const { return begins.size() - 1; }
    const std::vector<device_assignment> & work() const { return assignments; }
    size_t                                 begin_of(size_t token) const { return begins[token]; }  // in `work`; of `tokens()`: the end

    row_view input() { return { reinterpret_cast<char *>(rows.data()), n_embd * sizeof(float) }; }   // [tokens][n_embd]
    row_view output() { return { reinterpret_cast<char *>(sums.data()), n_embd * sizeof(float) }; }  // of the same shape; weighted sums, by whoever computes

    void clear_output() { std::fill_n(sums.data(), sums.size(), 0.0f); }

    // Adds the sums to the rows of `output` [tokens of the whole batch][n_embd] that they are for.
    void add_to(row_view output) const;

    // The work as a batch of its tokens, each with up to `used` experts, for somebody else to compute from `input` to `output`.
    expert_batch as_batch(uint32_t layer, int64_t used) const;

  private:
    size_t                         n_embd = 0;
    std::vector<device_assignment> assignments;
    std::vector<size_t>            begins{ 0 };
    transfer_memory<float>         rows, sums;
};

}  // namespace moebius
