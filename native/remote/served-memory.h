// Memory that `moebius rpc-server` gives to others: no more than its user allows, over all devices together.
#pragma once

#include <ggml-backend.h>

#include <cstdint>

namespace moebius {

// Before the server starts. 0: all there is.
void served_memory_limit(uint64_t bytes);

// These stand for ggml's functions of the same name.
void                  served_device_memory(ggml_backend_dev_t device, size_t * free, size_t * total);
ggml_backend_buffer_t served_alloc_buffer(ggml_backend_buffer_type_t type, size_t bytes);  // null: beyond the limit
void                  served_free_buffer(ggml_backend_buffer_t buffer);

}  // namespace moebius
