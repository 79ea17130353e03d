// A model with an adapter worked into its weights, as one GGUF file that needs no adapter any more.
#pragma once

#include "train/adapter/adapter.h"
#include "model/gguf-file.h"

#include <ggml.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace moebius {

// What a merged file's matrices become. Without a type each keeps that of the base.
struct merge_type {
    std::string              name;  // "same", "f32", "f16", "bf16", "q8_0", ...
    std::optional<ggml_type> type;
    int32_t                  file_type = 0;  // llama_ftype, general.file_type
};

// All that need no importance matrix.
const std::vector<merge_type> & merge_types();

// Throws request.invalid, which lists the names.
const merge_type & merge_type_named(const std::string & name);

// Writes W + scale * (a b)^T for adapted tensors (of each expert its own) and the trained numbers for whole ones, requantised without an importance matrix.
// A type applies to matrices of attention, experts, dense FFNs, embedding and head; norms, biases and routers keep theirs (routers: but for f32), as do
// matrices whose rows are no multiple of the type's block. Tensors that stay as they are are copied byte for byte. Metadata is the base's, but for general.file_type,
// general.alignment and a split's keys: parts become one file.
// A mixture of LoRA experts becomes experts: of each matrix of the dense FFN one for each, with the trained router and the metadata of the architecture that has them
// (llama: llama with expert_count, qwen3: qwen3moe).
// Works in blocks of rows: at most 32 MiB beside the adapter and the header, whatever the size of the model. `threads` compute; the bytes don't depend on them.
// `go_on` hears bytes of bytes, at least every few MiB; false stops: then, as after an error or a kill, there is no new file. Gives the size of the file; 0: stopped.
// Throws request.invalid (adapter of another model, path of the base itself), model.unsupported (a type that cannot be made), file.corrupt (numbers that are not finite or too large
// for the type), disk.full (details need and have, bytes; before anything is written), file.unwritable, file.unreadable.
uint64_t merge_write(const gguf_model & base, const adapter & trained, const merge_type & type, const std::string & path, uint32_t threads,
                     const std::function<bool(uint64_t, uint64_t)> & go_on);

}  // namespace moebius
