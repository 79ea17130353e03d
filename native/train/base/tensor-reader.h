// Bytes of a model's tensors from its files.
#pragma once

#include "model/gguf-file.h"

#include <fstream>

namespace moebius {

// Of any type. numbers: as many as the bytes are of.
void tensor_numbers(ggml_type type, const void * bytes, std::vector<float> & numbers);

class tensor_reader {
  public:
    explicit tensor_reader(const gguf_model & model) : model(model) {}

    // `bytes` of the tensor from `offset` on. Throws user_error file.unreadable.
    void read(const gguf_tensor & tensor, uint64_t offset, uint64_t bytes, void * into);

    // All its numbers, whatever its type.
    std::vector<float> numbers(const gguf_tensor & tensor);

  private:
    const gguf_model & model;
    std::ifstream      file;
    int64_t            open = -1;  // index into model.files
};

}  // namespace moebius
