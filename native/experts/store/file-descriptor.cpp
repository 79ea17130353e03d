#include "file-descriptor.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fcntl.h>

#if defined(_WIN32)
#    include <io.h>
#    include "windows-api.h"
#else
#    include <climits>
#    include <sys/uio.h>
#    include <unistd.h>
#endif

namespace moebius {

#if defined(_WIN32)

opened_file file_open_direct(const std::string & path) {
    opened_file  file;
    const HANDLE handle = CreateFileW(std::filesystem::u8path(path).c_str(), GENERIC_READ, FILE_SHARE_READ, nullptr, OPEN_EXISTING,
                                      FILE_FLAG_NO_BUFFERING | FILE_FLAG_RANDOM_ACCESS, nullptr);
    if (handle == INVALID_HANDLE_VALUE) {
        file.error = "Windows error " + std::to_string(GetLastError());
        return file;
    }
    file.descriptor = _open_osfhandle(intptr_t(handle), _O_RDONLY | _O_BINARY);
    file.direct     = true;
    return file;
}

void file_close(int descriptor) {
    _close(descriptor);
}

// One request a room: ReadFileScatter wants pages.
int64_t file_read_at(int descriptor, const std::vector<file_room> & rooms, uint64_t needed, uint64_t offset) {
    const HANDLE handle = HANDLE(_get_osfhandle(descriptor));
    uint64_t     done   = 0, begin = 0;
    for (const file_room & room : rooms) {
        while (done < std::min(begin + room.bytes, needed)) {
            OVERLAPPED at{};
            at.Offset     = DWORD(offset + done);
            at.OffsetHigh = DWORD((offset + done) >> 32);
            DWORD got     = 0;
            if (!ReadFile(handle, room.data + (done - begin), DWORD(std::min<uint64_t>(begin + room.bytes - done, 1u << 30)), &got, &at)) {
                return GetLastError() == ERROR_HANDLE_EOF ? int64_t(done) : -1;
            }
            if (got == 0) {
                return int64_t(done);
            }
            done += got;
        }
        begin += room.bytes;
    }
    return int64_t(done);
}

void file_forget(int, uint64_t, uint64_t) {}

#else

opened_file file_open_direct(const std::string & path) {
    opened_file file;
#    if defined(O_DIRECT)
    file.descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
    file.direct     = file.descriptor >= 0;
    if (file.descriptor < 0 && errno == EINVAL) {  // tmpfs and some network file systems
        file.descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    }
#    else
    file.descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
#        if defined(F_NOCACHE)
    file.direct = file.descriptor >= 0 && fcntl(file.descriptor, F_NOCACHE, 1) == 0;
#        endif
#    endif
    if (file.descriptor < 0) {
        file.error = std::strerror(errno);
    }
    return file;
}

void file_close(int descriptor) {
    close(descriptor);
}

int64_t file_read_at(int descriptor, const std::vector<file_room> & rooms, uint64_t needed, uint64_t offset) {
    std::vector<iovec> left;
    for (const file_room & room : rooms) {
        left.push_back({ room.data, size_t(room.bytes) });
    }
    uint64_t done = 0;
    for (auto next = left.begin(); done < needed;) {
        const ssize_t got = preadv(descriptor, &*next, int(std::min<ptrdiff_t>(left.end() - next, IOV_MAX)), off_t(offset + done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -1;
        }
        if (got == 0) {
            break;
        }
        done += uint64_t(got);
        for (size_t rest = size_t(got); rest > 0;) {
            const size_t filled = std::min(rest, next->iov_len);
            next->iov_base      = static_cast<uint8_t *>(next->iov_base) + filled;
            next->iov_len -= filled;
            rest -= filled;
            next += next->iov_len == 0 ? 1 : 0;
        }
    }
    return int64_t(done);
}

void file_forget(int descriptor, uint64_t offset, uint64_t bytes) {
#    if defined(POSIX_FADV_DONTNEED)
    posix_fadvise(descriptor, off_t(offset), off_t(bytes), POSIX_FADV_DONTNEED);
#    else
    (void) descriptor;
    (void) offset;
    (void) bytes;
#    endif
}

#endif

}  // namespace moebius
