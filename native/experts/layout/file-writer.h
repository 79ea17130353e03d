// A file that appears whole or not at all.
#pragma once

#include <cstdint>
#include <string>

namespace moebius {

// Written as `path`.tmp, renamed when it is published. What a killed process leaves of it is overwritten by the next writer; two at a time
// are refused.
class file_writer {
  public:
    // Reserves the room where the file system can. At most `flush_bytes` are written and not yet on the disk. Throws disk.full (details need and
    // have, bytes), file.unwritable.
    file_writer(const std::string & path, uint64_t bytes, uint64_t flush_bytes);
    ~file_writer();  // not published: nothing is left of it
    file_writer(const file_writer &)             = delete;
    file_writer & operator=(const file_writer &) = delete;

    // At the end. Keeps to the disk's speed, and what it wrote out of the page cache. Throws disk.full, file.unwritable.
    void write(const void * data, uint64_t bytes);

    // All bytes are on the disk, and the name then is, too. Throws file.unwritable.
    void publish();

  private:
    void              flush();
    [[noreturn]] void fail(const std::string & what) const;
    [[noreturn]] void fail_full(uint64_t have) const;

    std::string path, temporary;  // UTF-8
    uint64_t    need, flush_bytes;
    uint64_t    written    = 0;
    uint64_t    flushed    = 0;
    int         descriptor = -1;
};

}  // namespace moebius
