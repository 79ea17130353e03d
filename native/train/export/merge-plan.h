// Which tensors of a merged model change, and what they become.
#pragma once

#include "merge.h"

#include <gguf.h>
#include <ggml-cpp.h>

#include <vector>

namespace moebius {

struct merged_tensor {
    std::string             name;
    std::array<int64_t, 4>  ne    = {};
    const gguf_tensor *     from  = nullptr;  // null: the base has none. A mixture's stack of experts begins with the same matrix for each of them
    ggml_type               type  = GGML_TYPE_F32;
    const adapted_tensor *  pair  = nullptr;  // to be added
    const train_parameter * whole = nullptr;  // to take the place

    int64_t rows() const { return ne[1] * ne[2] * ne[3]; }
    int64_t rows_of_base() const { return from == nullptr ? rows() : from->ne[1] * from->ne[2] * from->ne[3]; }
    bool    is_copied() const { return pair == nullptr && whole == nullptr && type == from->type; }
};

// In the base's order, a mixture's routers before the gate of their layer. Throws model.unsupported.
std::vector<merged_tensor> merge_plan(const gguf_model & base, const adapter & trained, const merge_type & type);

// Metadata and tensor table of the merged file. mixture: of the adapter.
gguf_context_ptr merge_header(const gguf_model & base, const std::vector<merged_tensor> & plan, const merge_type & type, const lora_mixture & mixture);

}  // namespace moebius
