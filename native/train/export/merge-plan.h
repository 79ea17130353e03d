// Which tensors of a merged model change, and what they become.
#pragma once

#include "merge.h"

#include <gguf.h>
#include <ggml-cpp.h>

#include <vector>

namespace moebius {

struct merged_tensor {
    const gguf_tensor *     from  = nullptr;
    ggml_type               type  = GGML_TYPE_F32;
    const adapted_tensor *  pair  = nullptr;  // to be added
    const train_parameter * whole = nullptr;  // to take the place

    bool is_copied() const { return pair == nullptr && whole == nullptr && type == from->type; }
};

// In the base's order. Throws model.unsupported.
std::vector<merged_tensor> merge_plan(const gguf_model & base, const adapter & trained, const merge_type & type);

// Metadata and tensor table of the merged file.
gguf_context_ptr merge_header(const gguf_model & base, const std::vector<merged_tensor> & plan, const merge_type & type);

}  // namespace moebius
