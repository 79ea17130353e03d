// Routed experts that llama.cpp has loaded whole into host memory, given to the experts' device all the same: its fused FFN has no
// barrier between an expert's matrices.
//
// Matrices that llama.cpp repacks, or that lie on a GPU, are not taken, and with them the other matrices of their layer.
#pragma once

#include "expert-buffer.h"

#include <list>

namespace moebius {

class whole_experts : public expert_source {
  public:
    // Marks the expert tensors of `model`, until llama_model_free. Batches of more than `tokens_most` are left to llama.cpp.
    // An empty layout, or no matrix in host memory: marks nothing.
    whole_experts(expert_layout layout, const llama_model * model, int64_t tokens_most);

    void            begin(uint32_t, std::vector<expert_use> &) override {}
    const uint8_t * wait(uint32_t layer, uint32_t expert, uint32_t part) override;
    void            finish(uint32_t, uint32_t) override {}
    // Leaves those to llama.cpp: no FFN of theirs is whole.
    void            adapt(const std::set<int32_t> & blocks) override;

  private:
    std::vector<std::vector<ggml_tensor *>> tensors;  // [layer][part]
    std::list<expert_tensor>                marks;
};

}  // namespace moebius
