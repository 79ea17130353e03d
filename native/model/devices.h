// The ggml devices as the user sees and chooses them.
#pragma once

#include "rpc/errors.h"

#include <ggml-backend.h>

#include <string>
#include <vector>

namespace moebius {

inline constexpr const char * cpu_device_id = "CPU";

struct device_memory {
    uint64_t free;   // bytes
    uint64_t total;  // bytes
};

// For the CPU: what this process can have, cgroup limits respected. A GPU may report 0, 0: unknown.
device_memory device_memory_now(ggml_backend_dev_t device);

// Result of `devices.list`.
json devices_list();

// The GPUs that a model uses unless told otherwise: llama.cpp's own choice (each card once, whatever number of backends
// sees it; integrated ones only without discrete ones), without those of other machines.
std::vector<std::string> default_gpu_ids();

// GPU by id. An id of another machine's names the machine: it is connected if it is not yet. Throws device.not-found, naming those
// there are; device.unreachable.
ggml_backend_dev_t gpu_device(const std::string & id);

// Several of them.
std::vector<ggml_backend_dev_t> gpu_devices(const std::vector<std::string> & ids);

// Id under which memory of this buffer type counts: a GPU's, or CPU for everything in RAM.
std::string device_id_of(ggml_backend_buffer_type_t type);

}  // namespace moebius
