// Other machines that run `moebius rpc-server` (or llama.cpp's rpc-server of the same release), as ggml devices.
//
// They are not in ggml's registry, which no two threads may use while it changes: whoever lists devices asks here, too.
#pragma once

#include "rpc/errors.h"

#include <ggml-backend.h>

#include <string>
#include <vector>

namespace moebius {

// Connects, and has the machine's devices from then on. Nothing changes for one that is there already.
// Throws request.invalid (no host:port), device.unreachable (within 5 seconds).
void remote_add(const std::string & endpoint);

// Ids of its devices, which are connected first if need be. Throws as remote_add.
std::vector<std::string> remote_ids(const std::string & endpoint);

// What uses its devices can go on. Throws device.not-found.
void remote_remove(const std::string & endpoint);

// All of them are kept for the life of the process: a device that was removed is still valid.
std::vector<ggml_backend_dev_t> remote_devices();

// Result of `devices.listRemote`: { machines: [{ endpoint, devices: [id], lost: null or why }] }
json remote_list();

}  // namespace moebius
