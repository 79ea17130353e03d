// Memory that a model will need, known before any weight is read.
#pragma once

#include "experts/store/expert-layout.h"
#include "gguf-file.h"
#include "memory.h"
#include "options.h"

namespace moebius {

struct device_estimate {
    std::string  id;
    memory_split memory;
    uint64_t     free;   // bytes
    uint64_t     total;  // bytes; 0: the device does not tell
};

struct memory_estimate {
    std::vector<device_estimate> devices;  // CPU first
    memory_split                 total;

    uint64_t need() const { return total.sum(); }
    uint64_t have() const;
    // the first device that is too small, or null
    const device_estimate * short_device() const;
};

// Asks llama.cpp itself, without allocating: exact for weights, KV cache and graph buffers. Throws model.unsupported or
// model.load-failed for a file that llama.cpp does not take.
// Experts that are left open (expert_ram_bytes) count like other weights.
memory_estimate estimate_memory(const gguf_model & file, const json & inspection, const load_options & options);

// Decides options.expert_ram_bytes and expert_devices where they are open. RAM: 0 if everything fits, else as much as the rest leaves, so that the
// other experts stay on disk; 0 too if that would not fit either. Devices: none if everything fits or the RAM is given, else what the GPUs have left. Gives the estimate. Throws what estimate_memory does, and
// request.invalid if a store is asked for experts that it cannot take.
memory_estimate fit_experts(const gguf_model & file, const json & inspection, load_options & options);

// An Estimate object. layout: of the experts that a store can take, else empty.
json estimate_to_json(const memory_estimate & estimate, const load_options & options, const expert_layout & layout);

// Throws model.does-not-fit when the weights alone (of experts in a store: the slots) are more than all of the devices have. Needs
// no llama.cpp, so that the hopeless case is refused at once.
void refuse_hopeless(const gguf_model & file, const json & inspection, const load_options & options);

// Throws model.does-not-fit when a device is too small.
void refuse_unless_fits(const memory_estimate & estimate, const std::string & name);

}  // namespace moebius
