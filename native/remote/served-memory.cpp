#include "served-memory.h"

#include <algorithm>
#include <cstdio>

namespace moebius {

namespace {

// The server is one thread.
uint64_t limit = 0;
uint64_t given = 0;

}  // namespace

void served_memory_limit(uint64_t bytes) {
    limit = bytes;
}

void served_device_memory(ggml_backend_dev_t device, size_t * free, size_t * total) {
    ggml_backend_dev_memory(device, free, total);
    if (limit > 0) {
        *total = size_t(std::min<uint64_t>(*total, limit));
        *free  = size_t(std::min<uint64_t>(*free, limit - std::min(given, limit)));
    }
}

ggml_backend_buffer_t served_alloc_buffer(ggml_backend_buffer_type_t type, size_t bytes) {
    if (limit > 0 && bytes > limit - std::min(given, limit)) {
        std::fprintf(stderr, "refused %zu bytes: %llu of %llu are given\n", bytes, static_cast<unsigned long long>(given), static_cast<unsigned long long>(limit));
        return nullptr;
    }
    ggml_backend_buffer_t buffer = ggml_backend_buft_alloc_buffer(type, bytes);
    given += buffer ? ggml_backend_buffer_get_size(buffer) : 0;
    return buffer;
}

void served_free_buffer(ggml_backend_buffer_t buffer) {
    given -= std::min<uint64_t>(given, ggml_backend_buffer_get_size(buffer));
    ggml_backend_buffer_free(buffer);
}

}  // namespace moebius
