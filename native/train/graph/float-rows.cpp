#include "float-rows.h"

#include <algorithm>
#include <map>
#include <mutex>

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

class spare_blocks {
  public:
    ~spare_blocks() { release(); }

    void * take(size_t size) {
        const std::lock_guard<std::mutex> lock(access);
        const size_t wanted = in_use + size;
        const size_t most   = std::max(most_in_use, wanted);
        const auto   found  = by_size.find(size);
        void *       block  = found == by_size.end() ? nullptr : taken_out(found);
        if (block == nullptr) {
            while (!by_size.empty() && wanted + kept > most + most / 4) {
                ::operator delete(taken_out(by_size.begin()));
            }
            block = ::operator new(size);
        }
        in_use      = wanted;
        most_in_use = most;
        return block;
    }

    void give(void * block, size_t size) noexcept {
        const std::lock_guard<std::mutex> lock(access);
        in_use -= size;
        try {
            by_size.emplace(size, block);
            kept += size;
        } catch (const std::bad_alloc &) {
            ::operator delete(block);
        }
    }

    void release() noexcept {
        const std::lock_guard<std::mutex> lock(access);
        while (!by_size.empty()) {
            ::operator delete(taken_out(by_size.begin()));
        }
        most_in_use = in_use;
    }

    size_t bytes() {
        const std::lock_guard<std::mutex> lock(access);
        return kept;
    }

  private:
    void * taken_out(std::multimap<size_t, void *>::iterator at) {
        void * const block = at->second;
        kept -= at->first;
        by_size.erase(at);
        return block;
    }

    std::mutex                    access;
    std::multimap<size_t, void *> by_size;
    size_t                        kept = 0, in_use = 0, most_in_use = 0;  // bytes
};

spare_blocks & spares() {
    static spare_blocks all;
    return all;
}

}  // namespace

void * take_spare_memory(size_t bytes) {
    return bytes < least_kept ? ::operator new(bytes) : spares().take(size_class(bytes));
}

void give_spare_memory(void * memory, size_t bytes) noexcept {
    bytes < least_kept ? ::operator delete(memory) : spares().give(memory, size_class(bytes));
}

void release_spare_memory() noexcept {
    spares().release();
}

size_t spare_memory_bytes() {
    return spares().bytes();
}

}  // namespace moebius
