// GGUF model files (versions 2 and 3), read and validated without llama.cpp, which aborts on some bad files.
//
// Nothing in a file is believed: every count is checked against the bytes that are left before anything is allocated, all
// arithmetic on it is checked, and only the header (metadata and tensor table) is read, so a 100 GB file costs as little
// as a small one. What passes here is safe to give to llama.cpp: it loads or says why not, it does not abort.
#pragma once

#include <gguf.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace moebius {

struct gguf_tensor {
    std::string            name;
    ggml_type              type;
    std::array<int64_t, 4> ne;      // all >= 1, product < 2^63
    uint64_t               offset;  // absolute in its file
    uint64_t               bytes;
    uint32_t               file;    // index into gguf_model::files

    int64_t elements() const { return ne[0] * ne[1] * ne[2] * ne[3]; }
};

// One metadata value: a scalar (count 1) or an array of scalars. Arrays of arrays are refused when reading.
struct gguf_value {
    gguf_type                type  = GGUF_TYPE_COUNT;  // of the value, or of each element
    bool                     array = false;
    uint64_t                 count = 1;
    std::vector<uint8_t>     bytes;    // numbers and bools as in the file, little-endian
    std::vector<std::string> strings;  // GGUF_TYPE_STRING only

    // nothing: out of range, not an integer or bool, or (u64) above 2^63 - 1
    std::optional<int64_t> integer(uint64_t index = 0) const;
    // nothing: out of range or a string
    std::optional<double> number(uint64_t index = 0) const;
    // null: out of range or not a string
    const std::string * text(uint64_t index = 0) const;
};

struct gguf_model {
    std::vector<std::string> files;  // absolute paths, UTF-8; all parts of a split model in order
    std::vector<uint64_t>    file_bytes;
    uint32_t                 version = 0;

    std::vector<std::pair<std::string, gguf_value>> metadata;  // of the first part, in file order
    std::vector<gguf_tensor>                        tensors;   // of all parts, in file order

    std::unordered_map<std::string, size_t> metadata_index;  // key -> index into metadata
    std::unordered_map<std::string, size_t> tensor_index;    // name -> index into tensors

    const gguf_value *  find(const std::string & key) const;
    const gguf_tensor * find_tensor(const std::string & name) const;
    // general.architecture, never empty in a validated model
    std::string architecture() const;
    // value of `<architecture>.<suffix>`
    const gguf_value * find_hparam(const std::string & suffix) const;
    // an integer hparam, the largest of a per-layer array; fallback if absent
    int64_t hparam(const std::string & suffix, int64_t fallback) const;
    // the same for one layer: element `layer` of an array, or the scalar
    int64_t hparam_of_layer(const std::string & suffix, int64_t layer, int64_t fallback) const;
};

// Reads and validates a model; any part of a split model may be named. Throws user_error:
//   file.not-found, file.unreadable   no such file, a folder, no permission
//   file.not-gguf, file.version       other magic; big-endian, version 1 or a future version
//   file.truncated                    ends before what its header promises
//   file.split-incomplete             a part is missing or belongs to another model
//   file.corrupt                      everything that contradicts itself or would crash llama.cpp
//   model.unsupported                 well-formed, but nothing that can generate text
gguf_model gguf_open(const std::string & path);

}  // namespace moebius
