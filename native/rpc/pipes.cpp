#include "pipes.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#ifdef _WIN32
#    include <fcntl.h>
#    include <io.h>
#else
#    include <fcntl.h>
#    include <unistd.h>
#endif
#ifdef __linux__
#    include <sys/prctl.h>
#endif

namespace moebius {

namespace {

// one read or write; Windows takes int sizes
constexpr size_t chunk_limit = 1u << 20;

}  // namespace

#ifdef _WIN32

protocol_pipes protocol_open() {
    std::signal(SIGINT, SIG_IGN);
    _setmode(0, _O_BINARY);
    const int output = _dup(1);
    if (output < 0 || _dup2(2, 1) < 0) {
        std::abort();
    }
    _setmode(output, _O_BINARY);
    return { 0, output };
}

size_t pipe_read(int descriptor, char * data, size_t size) {
    const int count = _read(descriptor, data, unsigned(std::min(size, chunk_limit)));
    return count > 0 ? size_t(count) : 0;
}

bool pipe_write(int descriptor, const char * data, size_t size) {
    while (size > 0) {
        const int count = _write(descriptor, data, unsigned(std::min(size, chunk_limit)));
        if (count <= 0) {
            return false;
        }
        data += count;
        size -= size_t(count);
    }
    return true;
}

#else

protocol_pipes protocol_open() {
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGINT, SIG_IGN);
#    ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#    endif
    const int output = fcntl(1, F_DUPFD_CLOEXEC, 3);
    if (output < 0 || dup2(2, 1) < 0) {
        std::abort();
    }
    return { 0, output };
}

size_t pipe_read(int descriptor, char * data, size_t size) {
    for (;;) {
        const ssize_t count = read(descriptor, data, std::min(size, chunk_limit));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        return count > 0 ? size_t(count) : 0;
    }
}

bool pipe_write(int descriptor, const char * data, size_t size) {
    while (size > 0) {
        const ssize_t count = write(descriptor, data, std::min(size, chunk_limit));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            return false;
        }
        data += count;
        size -= size_t(count);
    }
    return true;
}

#endif

}  // namespace moebius
