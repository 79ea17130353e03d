// Reads pieces of files past the page cache, several at once.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace moebius {

class file_reader {
  public:
    static constexpr uint64_t alignment = 4096;  // of offsets, lengths and memory

    enum class priority { demand, prefetch };

    // Called on a reader thread, once. `error` is null when all bytes are there. It may call `read`.
    using on_done = std::function<void(const char * error)>;

    // `threads` reads are under way at a time. Throws user_error file.unreadable.
    file_reader(const std::vector<std::string> & files, uint32_t threads);
    ~file_reader();  // ends the reads that have begun; those that wait are told an error

    // Room that `read` needs for bytes at any offset.
    static uint64_t room_for(uint64_t bytes) { return (bytes + 2 * alignment - 1) / alignment * alignment + alignment; }

    // Where the byte at `offset` comes to lie in the room at `into`.
    static uint64_t shift_of(uint64_t offset) { return offset % alignment; }

    // `into`: aligned, room_for(bytes). Pieces of a read go through several threads.
    void read(uint32_t file, uint64_t offset, uint64_t bytes, uint8_t * into, priority urgency, on_done done);

    // Reads that go into [from, to) and have not begun are demanded now.
    void hurry(const uint8_t * from, const uint8_t * to);

    uint64_t bytes_read() const;
    // false: the file system cannot; the page cache is bypassed by dropping what was read
    bool direct() const { return is_direct; }

  private:
    struct whole {
        on_done  done;
        uint32_t pieces_left = 0;
        bool     failed      = false;
    };
    struct piece {
        uint32_t               file;
        uint64_t               offset, bytes, needed;  // aligned; of them in the file
        uint8_t *              into;
        std::shared_ptr<whole> of;
    };

    void         run();
    const char * read_piece(const piece & piece) const;

    std::vector<int>         descriptors;
    bool                     is_direct = true;
    mutable std::mutex       mutex;
    std::condition_variable  work;
    std::deque<piece>        queues[2];  // by priority
    uint64_t                 total    = 0;
    bool                     stopping = false;
    std::vector<std::thread> threads;
};

}  // namespace moebius
