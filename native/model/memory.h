// Where the bytes of a model and its context are.
#pragma once

#include "rpc/errors.h"

#include <llama.h>

#include <cstdint>
#include <string>
#include <vector>

namespace moebius {

struct memory_split {
    uint64_t weights  = 0;  // without the routed experts, bytes
    uint64_t experts  = 0;
    uint64_t kv_cache = 0;
    uint64_t compute  = 0;  // graph buffers and the logits' buffer

    uint64_t sum() const { return weights + experts + kv_cache + compute; }
    void     add(const memory_split & other);
};

struct device_split {
    std::string  id;
    memory_split memory;
};

// Bytes per device: CPU first, then `gpus` in their order, all present even when nothing is on them.
// Works for real models and for those loaded with no_alloc, for which it tells what a real one would take.
std::vector<device_split> memory_of(const llama_model * model, const llama_context * context, const std::vector<std::string> & gpus);

// That of device `id`, which is appended if it is not there.
memory_split & entry_of(std::vector<device_split> & devices, const std::string & id);

json memory_to_json(const memory_split & memory);  // a MemorySplit object

}  // namespace moebius
