// Memory of the host that a device copies from and to by itself: page-locked, if its driver has such memory, else ordinary.
#pragma once

#include <ggml-cpp.h>

#include <cstdint>
#include <vector>

namespace moebius {

template <typename T> class transfer_memory {
  public:
    explicit transfer_memory(ggml_backend_dev_t device) : type(ggml_backend_dev_host_buffer_type(device)) {}

    // Room for `count` values. What was there is gone if it has to grow.
    void resize(size_t count) {
        if (count > capacity) {
            capacity = count + count / 2;
            buffer.reset(type ? ggml_backend_buft_alloc_buffer(type, capacity * sizeof(T)) : nullptr);
            ordinary.resize(buffer ? 0 : capacity);
        }
        used = count;
    }

    T *       data() { return buffer ? static_cast<T *>(ggml_backend_buffer_get_base(buffer.get())) : ordinary.data(); }
    const T * data() const { return const_cast<transfer_memory *>(this)->data(); }
    size_t    size() const { return used; }

  private:
    ggml_backend_buffer_type_t type;
    ggml_backend_buffer_ptr    buffer;
    std::vector<T>             ordinary;
    size_t                     capacity = 0, used = 0;
};

}  // namespace moebius
