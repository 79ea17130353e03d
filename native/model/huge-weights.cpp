#include "huge-weights.h"

#ifdef __linux__
#    include <llama-model.h>

#    include <sys/mman.h>

#    include <algorithm>
#    include <cstring>
#    include <fstream>
#    include <sstream>
#    include <string>
#    include <vector>
#endif

namespace moebius {

#ifdef __linux__

namespace {

constexpr uintptr_t huge       = 2u << 20;   // a huge page; aligned, too
constexpr uintptr_t piece_most = 64u << 20;  // that is moved at once

struct address_range {
    uintptr_t begin = 0, end = 0;
};

// Of tensors in host memory, [begin, end), by their begins.
std::vector<address_range> weights_in_ram(const llama_model * model) {
    std::vector<address_range> all;
    for (const auto & [name, tensor] : llama_internal_get_tensor_map(model)) {
        if (tensor->data && tensor->buffer && ggml_backend_buffer_is_host(tensor->buffer)) {
            const auto begin = reinterpret_cast<uintptr_t>(tensor->data);
            all.push_back({ begin, begin + ggml_nbytes(tensor) });
        }
    }
    std::sort(all.begin(), all.end(), [](const address_range & a, const address_range & b) { return a.begin < b.begin; });
    return all;
}

// Where files are mapped for reading, as llama.cpp maps them.
std::vector<address_range> mapped_files() {
    std::vector<address_range> all;
    std::ifstream              maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        std::istringstream fields(line);
        std::string        addresses, permissions, offset, device;
        uint64_t           inode = 0;
        fields >> addresses >> permissions >> offset >> device >> inode;
        const size_t dash = addresses.find('-');
        if (permissions == "r--s" && inode != 0 && dash != std::string::npos) {
            all.push_back({ uintptr_t(std::stoull(addresses.substr(0, dash), nullptr, 16)), uintptr_t(std::stoull(addresses.substr(dash + 1), nullptr, 16)) });
        }
    }
    return all;
}

uint64_t shared_bytes(const address_range & a, const address_range & b) {
    const uintptr_t begin = std::max(a.begin, b.begin), end = std::min(a.end, b.end);
    return begin < end ? end - begin : 0;
}

// Huge pages inside of a mapping, half of whose bytes at least are weights.
std::vector<address_range> pieces_of(const address_range & mapping, const std::vector<address_range> & weights) {
    std::vector<address_range> pieces;
    auto                       next = weights.begin();
    for (uintptr_t page = (mapping.begin + huge - 1) / huge * huge; page + huge <= mapping.end; page += huge) {
        const address_range block{ page, page + huge };
        while (next != weights.end() && next->end <= block.begin) {
            ++next;
        }
        uint64_t wanted = 0;
        for (auto weight = next; weight != weights.end() && weight->begin < block.end; ++weight) {
            wanted += shared_bytes(*weight, block);
        }
        if (wanted < huge / 2) {
            continue;
        }
        const bool grows = !pieces.empty() && pieces.back().end == block.begin && pieces.back().end - pieces.back().begin < piece_most;
        if (grows) {
            pieces.back().end = block.end;
        } else {
            pieces.push_back(block);
        }
    }
    return pieces;
}

bool are_there() {
    std::ifstream file("/sys/kernel/mm/transparent_hugepage/enabled");
    std::string   text;
    return std::getline(file, text) && text.find("[never]") == std::string::npos;
}

// The same bytes at the same addresses, in other memory. False: nothing has changed.
bool move(const address_range & piece) {
    const size_t bytes = piece.end - piece.begin;
    void * const room  = mmap(nullptr, bytes + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED) {
        return false;
    }
    const uintptr_t first   = reinterpret_cast<uintptr_t>(room);
    const uintptr_t aligned = (first + huge - 1) / huge * huge;
    auto * const    copy    = reinterpret_cast<void *>(aligned);
    auto * const    there   = reinterpret_cast<void *>(piece.begin);
    madvise(copy, bytes, MADV_HUGEPAGE);
    std::memcpy(copy, there, bytes);
    const bool moved = mprotect(copy, bytes, PROT_READ) == 0 && mremap(copy, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, there) != MAP_FAILED;
    if (aligned > first) {
        munmap(room, aligned - first);
    }
    if (aligned < first + huge) {
        munmap(reinterpret_cast<void *>(aligned + bytes), first + huge - aligned);
    }
    if (!moved) {
        munmap(copy, bytes);
    }
    return moved;
}

}  // namespace

uint64_t weights_to_huge_pages(const llama_model * model, uint64_t bytes_most, const std::function<bool(uint64_t, uint64_t)> & go_on) {
    if (!are_there()) {
        return 0;
    }
    const std::vector<address_range> weights = weights_in_ram(model);
    std::vector<address_range>       pieces;
    uint64_t                         total = 0, done = 0;
    for (const address_range & mapping : mapped_files()) {
        for (const address_range & piece : pieces_of(mapping, weights)) {
            pieces.push_back(piece);
            total += piece.end - piece.begin;
        }
    }
    for (const address_range & piece : pieces) {
        if (total > bytes_most || !go_on(done, total) || !move(piece)) {
            break;
        }
        done += piece.end - piece.begin;
    }
    return done;
}

#else

uint64_t weights_to_huge_pages(const llama_model *, uint64_t, const std::function<bool(uint64_t, uint64_t)> &) {
    return 0;
}

#endif

}  // namespace moebius
