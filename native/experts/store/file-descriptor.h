// The system calls under file-reader: reading at an offset past the page cache.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace moebius {

struct opened_file {
    int         descriptor = -1;
    bool        direct     = false;  // reads bypass the page cache
    std::string error;               // when descriptor is -1
};

// For reading. `path` is UTF-8.
opened_file file_open_direct(const std::string & path);
void        file_close(int descriptor);

struct file_room {
    uint8_t * data;
    uint64_t  bytes;
};

// Reads what lies at `offset` into one room after the other (all aligned to 4096, and the memory too), at least `needed` bytes unless the
// file ends. Gives the bytes read, or -1.
int64_t file_read_at(int descriptor, const std::vector<file_room> & rooms, uint64_t needed, uint64_t offset);

// Drops the range from the page cache, where the system can.
void file_forget(int descriptor, uint64_t offset, uint64_t bytes);

}  // namespace moebius
