#include "slot-memory.h"

#include <new>

#if defined(_WIN32)
#    include "windows-api.h"
#else
#    include <sys/mman.h>
#endif

namespace moebius {

namespace {

// Whole pages, whatever their size is on this system.
uint64_t page_aligned(uint64_t bytes) {
    constexpr uint64_t most = 1u << 16;
    return (bytes + most - 1) / most * most;
}

}  // namespace

#if defined(_WIN32)

// Makes [base, base + bytes) usable.
static bool commit(uint8_t * base, uint64_t bytes) {
    return VirtualAlloc(base, size_t(bytes), MEM_COMMIT, PAGE_READWRITE) != nullptr;
}

static void decommit(uint8_t * base, uint64_t bytes) {
    VirtualFree(base, size_t(bytes), MEM_DECOMMIT);
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

static bool commit(uint8_t * base, uint64_t bytes) {
    if (mprotect(base, size_t(bytes), PROT_READ | PROT_WRITE) != 0) {
        return false;
    }
#    if defined(MADV_HUGEPAGE)
    madvise(base, size_t(bytes), MADV_HUGEPAGE);  // fewer address translations while an expert is streamed through
#    endif
    return true;
}

static void decommit(uint8_t * base, uint64_t bytes) {
    // a fresh mapping in place of the old one: pages and commit charge are given back at once, on every Unix
    mmap(base, size_t(bytes), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
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

slot_memory::slot_memory(uint64_t bytes, uint64_t usable) : base(address_space_reserve(page_aligned(bytes))), bytes(page_aligned(bytes)) {
    try {
        resize(usable);
    } catch (...) {
        address_space_release(base, this->bytes);
        throw;
    }
}

slot_memory::~slot_memory() {
    if (base) {
        address_space_release(base, bytes);
    }
}

void slot_memory::resize(uint64_t next) {
    const uint64_t pages = page_aligned(next);
    if (pages > usable && !commit(base + usable, pages - usable)) {
        throw std::bad_alloc();
    }
    if (pages < usable) {
        decommit(base + pages, usable - pages);
    }
    usable = pages;
}

}  // namespace moebius
