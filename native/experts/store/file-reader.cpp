#include "file-reader.h"

#include "file-descriptor.h"
#include "rpc/errors.h"

#include <algorithm>

namespace moebius {

namespace {

// Large enough for the disk's full speed, small enough that one expert keeps several threads busy.
constexpr uint64_t piece_bytes = 2u << 20;

// Up to which waiting neighbours are read with one request (figures: layout/README.md). More gains nothing, and slots that become free all
// at once leave the other readers without work.
constexpr uint64_t merged_bytes = 1u << 20;

}  // namespace

file_reader::file_reader(const std::vector<std::string> & files, uint32_t count) {
    for (const std::string & path : files) {
        const opened_file file = file_open_direct(path);
        if (file.descriptor < 0) {
            for (const int open : descriptors) {
                file_close(open);
            }
            throw user_error("file.unreadable", path + " cannot be read: " + file.error + ".", { { "path", path } });
        }
        is_direct = is_direct && file.direct;
        descriptors.push_back(file.descriptor);
    }
    for (uint32_t i = 0; i < std::max(1u, count); i++) {
        threads.emplace_back([this] { run(); });
    }
}

file_reader::~file_reader() {
    {
        const std::lock_guard<std::mutex> lock(mutex);
        stopping = true;
    }
    work.notify_all();
    for (std::thread & thread : threads) {
        thread.join();
    }
    for (const int descriptor : descriptors) {
        file_close(descriptor);
    }
}

uint32_t file_reader::read(uint32_t file, uint64_t offset, const std::vector<uint64_t> & ends, uint8_t * into, priority urgency, on_done done) {
    const uint64_t     shift = shift_of(offset);
    const auto         of    = std::make_shared<whole>();
    std::vector<piece> pieces;
    of->done = std::move(done);
    of->parts.resize(ends.size());
    for (uint64_t at = 0; at < shift + ends.back(); at += piece_bytes) {
        const uint64_t needed = std::min(piece_bytes, shift + ends.back() - at);
        const auto     part_at = [&](uint64_t byte) { return uint32_t(std::upper_bound(ends.begin(), ends.end(), byte) - ends.begin()); };
        const uint32_t first = part_at(at - std::min(at, shift)), last = part_at(at + needed - 1 - shift);
        pieces.push_back({ file, offset - shift + at, aligned(needed), needed, into + at, of, first, last });
        for (uint32_t part = first; part <= last; part++) {
            of->parts[part].pieces_left++;
        }
    }
    {
        const std::lock_guard<std::mutex> lock(mutex);
        auto &                            queue = queues[urgency == priority::demand ? 0 : 1];
        queue.insert(queue.end(), pieces.begin(), pieces.end());
    }
    for (size_t i = 0; i < std::min(pieces.size(), threads.size()); i++) {
        work.notify_one();  // to wake a thread that has nothing to do costs more than to hand over a piece
    }
    return uint32_t(pieces.size());
}

bool file_reader::withdraw(const uint8_t * from, const uint8_t * to, uint32_t pieces) {
    const std::lock_guard<std::mutex> lock(mutex);
    auto &                            waiting = queues[1];
    const auto                        inside  = [&](const piece & piece) { return piece.into >= from && piece.into < to; };
    if (std::count_if(waiting.begin(), waiting.end(), inside) != ptrdiff_t(pieces)) {
        return false;
    }
    waiting.erase(std::remove_if(waiting.begin(), waiting.end(), inside), waiting.end());
    return true;
}

void file_reader::hurry(const uint8_t * from, const uint8_t * to) {
    const std::lock_guard<std::mutex> lock(mutex);
    auto &                            waiting = queues[1];
    const auto                        demanded =
        std::stable_partition(waiting.begin(), waiting.end(), [&](const piece & piece) { return piece.into < from || piece.into >= to; });
    std::move(demanded, waiting.end(), std::back_inserter(queues[0]));
    waiting.erase(demanded, waiting.end());
}

uint64_t file_reader::bytes_read() const {
    const std::lock_guard<std::mutex> lock(mutex);
    return total;
}

uint64_t file_reader::requests() const {
    const std::lock_guard<std::mutex> lock(mutex);
    return requested;
}

// Under `mutex`. Takes no more than its share of what waits: the other readers are to have something, too.
file_reader::request file_reader::next_request(std::deque<piece> & queue) const {
    request        next{ std::move(queue.front()) };
    const uint64_t most = std::min<uint64_t>(merged_bytes, next[0].bytes * (queue.size() / threads.size()));
    queue.pop_front();
    for (uint64_t bytes = next[0].bytes; !queue.empty(); queue.pop_front()) {
        const piece & last = next.back();
        const piece & then = queue.front();
        bytes += then.bytes;
        if (then.file != last.file || then.offset != last.offset + last.bytes || bytes > most) {
            break;
        }
        next.push_back(std::move(queue.front()));
    }
    return next;
}

std::vector<const char *> file_reader::read_pieces(const request & pieces) const {
    const int              descriptor = descriptors[pieces[0].file];
    const uint64_t         offset     = pieces[0].offset;
    std::vector<file_room> rooms;
    for (const piece & piece : pieces) {
        rooms.push_back({ piece.into, piece.bytes });
    }
    const uint64_t bytes = pieces.back().offset - offset + pieces.back().bytes;
    const int64_t  got   = file_read_at(descriptor, rooms, bytes - (pieces.back().bytes - pieces.back().needed), offset);
    if (!is_direct) {
        file_forget(descriptor, offset, bytes);
    }
    std::vector<const char *> errors;
    for (const piece & piece : pieces) {
        // of several, one may have what the others have not
        const int64_t here = got >= 0 || pieces.size() == 1 ? got : file_read_at(descriptor, { { piece.into, piece.bytes } }, piece.needed, piece.offset);
        const bool    less = got < 0 ? uint64_t(here) < piece.needed : uint64_t(here) < piece.offset - offset + piece.needed;
        errors.push_back(here < 0 ? "the disk reported an error" : less ? "the file has become shorter" : nullptr);
    }
    return errors;
}

void file_reader::run() {
    std::unique_lock<std::mutex> lock(mutex);
    for (;;) {
        work.wait(lock, [this] { return stopping || !queues[0].empty() || !queues[1].empty(); });
        auto & queue = queues[0].empty() ? queues[1] : queues[0];
        if (queue.empty()) {
            return;
        }
        const request next = next_request(queue);
        const bool    skip = stopping;
        requested += skip ? 0 : 1;
        lock.unlock();
        const std::vector<const char *> errors = skip ? std::vector<const char *>(next.size(), "the model is being unloaded") : read_pieces(next);
        lock.lock();
        for (size_t i = 0; i < next.size(); i++) {
            end_piece(lock, next[i], errors[i]);
        }
    }
}

void file_reader::end_piece(std::unique_lock<std::mutex> & lock, const piece & piece, const char * error) {
    total += error ? 0 : piece.needed;
    for (uint32_t i = piece.first_part; i <= piece.last_part; i++) {
        part_state & part = piece.of->parts[i];
        part.failure      = error ? error : part.failure;
        if (--part.pieces_left == 0) {
            lock.unlock();
            piece.of->done(i, part.failure);
            lock.lock();
        }
    }
}

}  // namespace moebius
