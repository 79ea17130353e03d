#include "file-writer.h"

#include "rpc/errors.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fcntl.h>
#include <sys/stat.h>

#if defined(_WIN32)
#    include <io.h>
#    include <share.h>
#else
#    include <sys/file.h>
#    include <unistd.h>
#endif

namespace moebius {

namespace {

#if defined(_WIN32)

int open_alone(const std::string & path) {
    int descriptor = -1;
    _wsopen_s(&descriptor, std::filesystem::u8path(path).c_str(), _O_WRONLY | _O_CREAT | _O_TRUNC | _O_BINARY, _SH_DENYRW, _S_IREAD | _S_IWRITE);
    return descriptor;
}

int64_t write_some(int descriptor, const uint8_t * data, uint64_t bytes) {
    return _write(descriptor, data, unsigned(std::min<uint64_t>(bytes, 1u << 30)));
}

bool reserve(int, uint64_t) {
    return true;
}

bool sync_data(int descriptor, uint64_t, uint64_t) {
    return _commit(descriptor) == 0;
}

void close_file(int descriptor) {
    _close(descriptor);
}

bool sync_folder(const std::filesystem::path &) {
    return true;
}

#else

// -1 and EWOULDBLOCK: another process writes it.
int open_alone(const std::string & path) {
    const int descriptor = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor < 0) {
        return -1;
    }
    struct stat mine {}, named {};
    const bool  locked = flock(descriptor, LOCK_EX | LOCK_NB) == 0;
    // It may have been published between the two calls: then it is no temporary file any more.
    const bool  same   = locked && fstat(descriptor, &mine) == 0 && stat(path.c_str(), &named) == 0 && mine.st_ino == named.st_ino;
    if (!same || ftruncate(descriptor, 0) != 0) {
        const int why = locked ? errno : EWOULDBLOCK;
        close(descriptor);
        errno = same ? why : EWOULDBLOCK;
        return -1;
    }
    return descriptor;
}

int64_t write_some(int descriptor, const uint8_t * data, uint64_t bytes) {
    return write(descriptor, data, size_t(std::min<uint64_t>(bytes, 1u << 30)));
}

// false: there is not so much room. What cannot be reserved is found out when it is written.
bool reserve(int descriptor, uint64_t bytes) {
#    if defined(__linux__)
    return fallocate(descriptor, 0, 0, off_t(bytes)) == 0 || errno != ENOSPC;
#    else
    (void) descriptor;
    (void) bytes;
    return true;
#    endif
}

bool sync_data(int descriptor, uint64_t offset, uint64_t bytes) {
    if (fsync(descriptor) != 0) {
        return false;
    }
#    if defined(POSIX_FADV_DONTNEED)
    posix_fadvise(descriptor, off_t(offset), off_t(bytes), POSIX_FADV_DONTNEED);
#    else
    (void) offset;
    (void) bytes;
#    endif
    return true;
}

void close_file(int descriptor) {
    close(descriptor);
}

bool sync_folder(const std::filesystem::path & folder) {
    const int descriptor = open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return false;
    }
    const bool synced = fsync(descriptor) == 0 || errno == EINVAL;  // some file systems have nothing to sync there
    close(descriptor);
    return synced;
}

#endif

}  // namespace

file_writer::file_writer(const std::string & path, uint64_t bytes, uint64_t flush_bytes)
    : path(path), temporary(path + ".tmp"), need(bytes), flush_bytes(flush_bytes) {
    const auto folder = std::filesystem::u8path(path).parent_path();
    descriptor        = open_alone(temporary);
    if (descriptor < 0) {
        fail(errno == EWOULDBLOCK ? "another process is writing it" : std::strerror(errno));
    }
    std::error_code error;
    const auto      room = std::filesystem::space(folder.empty() ? "." : folder, error);
    if ((!error && room.available < need) || !reserve(descriptor, need)) {
        const uint64_t have = error ? 0 : room.available;
        close_file(descriptor);
        std::filesystem::remove(std::filesystem::u8path(temporary), error);
        fail_full(have);
    }
}

file_writer::~file_writer() {
    if (descriptor >= 0) {
        std::error_code error;
#if defined(_WIN32)
        close_file(descriptor);  // an open file cannot be removed
        std::filesystem::remove(std::filesystem::u8path(temporary), error);
#else
        std::filesystem::remove(std::filesystem::u8path(temporary), error);  // while it is still locked
        close_file(descriptor);
#endif
    }
}

void file_writer::fail(const std::string & what) const {
    throw user_error("file.unwritable", path + " cannot be written: " + what + ". Check the folder's permissions, or name another file.", { { "path", path } });
}

void file_writer::fail_full(uint64_t have) const {
    throw user_error("disk.full", path + " needs " + std::to_string(need) + " bytes, and " + std::to_string(have) +
                                      " are free on that disk. Free some space, or name a file on another disk.",
                     { { "need", need }, { "have", have }, { "path", path } });
}

void file_writer::write(const void * data, uint64_t bytes) {
    const auto * from = static_cast<const uint8_t *>(data);
    while (bytes > 0) {
        const int64_t put = write_some(descriptor, from, bytes);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0 && errno == ENOSPC) {
            fail_full(written);  // what there was for it
        }
        if (put < 0) {
            fail(std::strerror(errno));
        }
        from += put;
        bytes -= uint64_t(put);
        written += uint64_t(put);
        if (written - flushed >= flush_bytes) {
            flush();
        }
    }
}

void file_writer::flush() {
    if (!sync_data(descriptor, flushed, written - flushed)) {
        fail(std::strerror(errno));
    }
    flushed = written;
}

void file_writer::publish() {
    flush();
    const auto from = std::filesystem::u8path(temporary), to = std::filesystem::u8path(path);
#if defined(_WIN32)
    close_file(descriptor);
    descriptor = -1;
#endif
    std::error_code error;
    std::filesystem::rename(from, to, error);
    if (error) {
        fail(error.message());
    }
#if !defined(_WIN32)
    close_file(descriptor);
    descriptor = -1;
#endif
    if (!sync_folder(to.parent_path())) {
        fail("its folder could not be synchronised");
    }
}

}  // namespace moebius
