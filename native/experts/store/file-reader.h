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

    // Called on a reader thread, once for each part of a read. `error` is null when all bytes of the part are there. It may call `read`.
    using on_done = std::function<void(uint32_t part, const char * error)>;

    // `threads` reads are under way at a time. Throws user_error file.unreadable.
    file_reader(const std::vector<std::string> & files, uint32_t threads);
    ~file_reader();  // ends the reads that have begun; those that wait are told an error

    static uint64_t aligned(uint64_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

    // Room that `read` needs for bytes at any offset; at an aligned one, aligned(bytes) are enough.
    static uint64_t room_for(uint64_t bytes) { return aligned(bytes + alignment) + alignment; }

    // Where the byte at `offset` comes to lie in the room at `into`.
    static uint64_t shift_of(uint64_t offset) { return offset % alignment; }

    // What lies between `offset` and the last of `ends` (ascending, counted from `offset`); part i ends at ends[i] and begins where the one
    // before ends. `into`: aligned, room for all of it. Pieces of a read go through several threads, in order of the file; how many is returned.
    // Small pieces that wait one behind the other, and whose bytes lie so in the file, are read with one request.
    uint32_t read(uint32_t file, uint64_t offset, const std::vector<uint64_t> & ends, uint8_t * into, priority urgency, on_done done);

    // Reads that go into [from, to) and have not begun are demanded now.
    void hurry(const uint8_t * from, const uint8_t * to);

    // Takes back the reads that go into [from, to) if none of their `pieces` has begun; nobody is told of them any more. false: one has, and
    // all of them go on.
    bool withdraw(const uint8_t * from, const uint8_t * to, uint32_t pieces);

    uint64_t bytes_read() const;
    uint64_t requests() const;  // to the system
    // false: the file system cannot; the page cache is bypassed by dropping what was read
    bool direct() const { return is_direct; }

  private:
    struct part_state {
        uint32_t     pieces_left = 0;
        const char * failure     = nullptr;
    };
    struct whole {
        on_done                 done;
        std::vector<part_state> parts;
    };
    struct piece {
        uint32_t               file;
        uint64_t               offset, bytes, needed;  // aligned; of them in the file
        uint8_t *              into;
        std::shared_ptr<whole> of;
        uint32_t               first_part, last_part;  // that it has bytes of
    };

    using request = std::vector<piece>;  // each begins in the file where the one before ends

    void    run();
    request next_request(std::deque<piece> & queue) const;
    // [piece], null: all of it is there
    std::vector<const char *> read_pieces(const request & pieces) const;
    void    end_piece(std::unique_lock<std::mutex> & lock, const piece & piece, const char * error);

    std::vector<int>         descriptors;
    bool                     is_direct = true;
    mutable std::mutex       mutex;
    std::condition_variable  work;
    std::deque<piece>        queues[2];  // by priority
    uint64_t                 total    = 0;
    uint64_t                 requested = 0;
    bool                     stopping = false;
    std::vector<std::thread> threads;
};

}  // namespace moebius
