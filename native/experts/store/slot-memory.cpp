#include "slot-memory.h"

#include <new>

#if defined(_WIN32)
#    include "windows-api.h"
#else
#    include <sys/mman.h>
#endif

namespace moebius {

#if defined(_WIN32)

slot_memory::slot_memory(uint64_t bytes)
    : base(static_cast<uint8_t *>(VirtualAlloc(nullptr, size_t(bytes), MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE))), bytes(bytes) {
    if (!base) {
        throw std::bad_alloc();
    }
}

slot_memory::~slot_memory() {
    if (base) {
        VirtualFree(base, 0, MEM_RELEASE);
    }
}

uint8_t * address_space_reserve(uint64_t bytes) {
    auto * base = static_cast<uint8_t *>(VirtualAlloc(nullptr, size_t(bytes), MEM_RESERVE, PAGE_NOACCESS));
    if (!base) {
        throw std::bad_alloc();
    }
    return base;
}

void address_space_release(uint8_t * base, uint64_t) {
    VirtualFree(base, 0, MEM_RELEASE);
}

#else

slot_memory::slot_memory(uint64_t bytes) : base(nullptr), bytes(bytes) {
    void * memory = mmap(nullptr, size_t(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        throw std::bad_alloc();
    }
    base = static_cast<uint8_t *>(memory);
#    if defined(MADV_HUGEPAGE)
    madvise(memory, size_t(bytes), MADV_HUGEPAGE);  // fewer address translations while an expert is streamed through
#    endif
}

slot_memory::~slot_memory() {
    if (base) {
        munmap(base, size_t(bytes));
    }
}

uint8_t * address_space_reserve(uint64_t bytes) {
    void * memory = mmap(nullptr, size_t(bytes), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        throw std::bad_alloc();
    }
    return static_cast<uint8_t *>(memory);
}

void address_space_release(uint8_t * base, uint64_t bytes) {
    munmap(base, size_t(bytes));
}

#endif

}  // namespace moebius
