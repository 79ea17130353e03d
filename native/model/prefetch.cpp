#include "prefetch.h"

#ifdef __linux__
#    include <fcntl.h>
#    include <sys/mman.h>
#    include <unistd.h>

#    include <algorithm>
#endif

namespace moebius {

#if defined(__linux__)

namespace {

// Page tables only, from the cache or the disk. Number of Linux 5.14's MADV_POPULATE_READ, which older headers lack.
constexpr int      madvise_populate_read = 22;
constexpr uint64_t step                  = 32u << 20;

}  // namespace

bool prefetch_file(const std::string & path, uint64_t offset, uint64_t bytes, const std::function<bool(uint64_t)> & progress) {
    const uint64_t page  = uint64_t(sysconf(_SC_PAGESIZE));
    const uint64_t begin = offset / page * page;
    const uint64_t end   = offset + bytes;
    const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return true;  // the load itself will say why
    }
    bool go_on = true;
    for (uint64_t at = begin; at < end && go_on; at += step) {
        const size_t size    = size_t(std::min(step, end - at));
        void *       mapping = mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor, off_t(at));
        if (mapping == MAP_FAILED) {
            break;
        }
        const bool done = madvise(mapping, size, madvise_populate_read) == 0;
        munmap(mapping, size);
        if (!done) {
            break;
        }
        go_on = progress(at + size - offset);
    }
    close(descriptor);
    return go_on;
}

#else

bool prefetch_file(const std::string &, uint64_t, uint64_t, const std::function<bool(uint64_t)> &) {
    return true;
}

#endif

}  // namespace moebius
