// The buffer type of a model's routed experts: llama.cpp sees tensors of full size, the store holds what is in RAM.
//
// Given to the loader as a tensor override (see expert_layout_pattern). Its buffers are address space without memory; what the
// loader writes to them is dropped, because the store reads the file itself.
#pragma once

#include "experts/store/expert-storage.h"

#include <ggml-backend.h>

#include <limits>

namespace moebius {

// Of a tensor that the experts' device computes with: its `extra`.
struct expert_tensor {
    expert_source *      source = nullptr;
    uint32_t             layer  = 0;  // of the layout
    uint32_t             part   = 0;  // of the layer
    bool                 loaded = false;  // by llama.cpp, which can compute with it too: see whole_experts
    std::atomic<int64_t> tokens_most{ std::numeric_limits<int64_t>::max() };  // of a batch that the device takes
    std::atomic<bool>    is_adapted{ false };  // see expert_source::adapt
};

// One per store. It must outlive the buffers of its type; the store too.
class expert_buffer_type {
  public:
    explicit expert_buffer_type(expert_storage & storage);
    ~expert_buffer_type();
    expert_buffer_type(const expert_buffer_type &)             = delete;
    expert_buffer_type & operator=(const expert_buffer_type &) = delete;

    ggml_backend_buffer_type_t get() const { return type.get(); }

  private:
    std::unique_ptr<ggml_backend_buffer_type> type;
};

// For results of nodes that the experts' device computes. Host memory apart from the CPU's compute buffer, because most of it is
// never touched: what lies between the matrices of a whole FFN is not written. It counts as nothing in memory estimates.
ggml_backend_buffer_type_t expert_result_type();

// The storage of such a buffer type; null: another type.
expert_storage * expert_storage_of(ggml_backend_buffer_type_t type);

// Whether `tensor` is a store's. Also of models that were opened without memory (for an estimate).
bool is_stored_expert_tensor(const ggml_tensor * tensor);

// Null when `tensor` is neither a store's nor one of whole_experts, or a store's of a model that was opened without memory.
expert_tensor * expert_tensor_of(const ggml_tensor * tensor);

}  // namespace moebius
