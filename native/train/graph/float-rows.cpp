#include "float-rows.h"

#include <map>
#include <mutex>
#include <numeric>

namespace moebius {

namespace {

constexpr size_t least_kept = 128 * 1024;  // the allocator keeps smaller ones itself

// Sizes that share blocks: eight to each power of 2, so that batches of nearly as many tokens do.
size_t size_class(size_t bytes) {
    size_t step = least_kept / 8;
    while (bytes > step * 16) {
        step *= 2;
    }
    return (bytes + step - 1) / step * step;
}

struct spare_blocks {
    std::mutex                    access;
    std::multimap<size_t, void *> by_size;

    ~spare_blocks() { release(); }

    void * take(size_t size) {
        const std::lock_guard<std::mutex> lock(access);
        const auto                        found = by_size.find(size);
        if (found == by_size.end()) {
            release();
            return nullptr;
        }
        void * const block = found->second;
        by_size.erase(found);
        return block;
    }

    void release() {
        for (const auto & [size, block] : by_size) {
            ::operator delete(block);
        }
        by_size.clear();
    }
};

spare_blocks & spares() {
    static spare_blocks all;
    return all;
}

}  // namespace

void * take_spare_memory(size_t bytes) {
    if (bytes < least_kept) {
        return ::operator new(bytes);
    }
    void * const kept = spares().take(size_class(bytes));
    return kept ? kept : ::operator new(size_class(bytes));
}

void give_spare_memory(void * memory, size_t bytes) noexcept {
    if (bytes < least_kept) {
        ::operator delete(memory);
        return;
    }
    try {
        const std::lock_guard<std::mutex> lock(spares().access);
        spares().by_size.emplace(size_class(bytes), memory);
    } catch (...) {
        ::operator delete(memory);
    }
}

void release_spare_memory() noexcept {
    const std::lock_guard<std::mutex> lock(spares().access);
    spares().release();
}

size_t spare_memory_bytes() {
    const std::lock_guard<std::mutex> lock(spares().access);
    return std::accumulate(spares().by_size.begin(), spares().by_size.end(), size_t(0), [](size_t sum, const auto & each) { return sum + each.first; });
}

}  // namespace moebius
