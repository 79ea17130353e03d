// Matrices on the host that come and go with every layer of a pass, some MiB each. What is given back is kept for the next ones of about that size, since pages that are new to a process cost
// more than what is done with them, and nothing is set to 0 unless asked. What is in use and what is kept are at most a quarter more than was in use at once.
#pragma once

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

namespace moebius {

// From any thread. Bytes as they were asked for; throws std::bad_alloc.
void * take_spare_memory(size_t bytes);
void   give_spare_memory(void * memory, size_t bytes) noexcept;
// What nobody uses goes back to the system.
void   release_spare_memory() noexcept;
size_t spare_memory_bytes();  // kept, of nobody

template <typename T> struct spare_memory {
    using value_type = T;

    spare_memory() = default;
    template <typename U> spare_memory(const spare_memory<U> &) noexcept {}

    T *  allocate(size_t count) { return static_cast<T *>(take_spare_memory(count * sizeof(T))); }
    void deallocate(T * at, size_t count) noexcept { give_spare_memory(at, count * sizeof(T)); }

    template <typename U> void construct(U * at) noexcept(std::is_nothrow_default_constructible<U>::value) { ::new (static_cast<void *>(at)) U; }
    template <typename U, typename... Args> void construct(U * at, Args &&... args) { ::new (static_cast<void *>(at)) U(std::forward<Args>(args)...); }

    template <typename U> bool operator==(const spare_memory<U> &) const noexcept { return true; }
    template <typename U> bool operator!=(const spare_memory<U> &) const noexcept { return false; }
};

using float_rows = std::vector<float, spare_memory<float>>;

}  // namespace moebius
