// Reads that wait in the queue: demanded ones go first, and those that nobody wants any more can be taken back.
#include "check.h"
#include "experts/store/file-reader.h"
#include "experts/store/slot-memory.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>

using namespace moebius;

namespace {

struct made_file {
    std::string path = (std::filesystem::temp_directory_path() / "moebius-file-reader-test.bin").u8string();
    std::string bytes;

    made_file() {
        for (uint32_t i = 0; i < 5 * 1000 * 1000; i++) {
            bytes += char(i * 2654435761u >> 24);
        }
        std::ofstream(path, std::ios::binary) << bytes;
    }
    ~made_file() { std::filesystem::remove(path); }
};

// One thread, which is busy until `go`.
struct busy_reader {
    std::promise<void> begun, gate;
    file_reader        reader;
    slot_memory        first{ file_reader::room_for(10) };

    explicit busy_reader(const std::string & path) : reader({ path }, 1) {
        reader.read(0, 0, { 10 }, first.data(), file_reader::priority::demand, [this](uint32_t, const char *) {
            begun.set_value();
            gate.get_future().wait();
        });
        begun.get_future().wait();
    }
    void go() { gate.set_value(); }
};

void what_has_not_begun_can_be_withdrawn() {
    const made_file file;
    constexpr uint64_t offset = 1234, size = 4500000;  // three pieces
    slot_memory         kept(file_reader::room_for(size)), dropped(file_reader::room_for(size));
    std::fill_n(dropped.data(), file_reader::room_for(size), uint8_t(7));
    std::promise<const char *> came;
    bool                       told = false;
    uint64_t                   read = 0;
    {
        busy_reader    one(file.path);
        const uint32_t pieces = one.reader.read(0, offset, { size }, dropped.data(), file_reader::priority::prefetch, [&](uint32_t, const char *) { told = true; });
        CHECK_EQUAL(pieces, 3u);
        CHECK_EQUAL(one.reader.read(0, offset, { size }, kept.data(), file_reader::priority::prefetch, [&](uint32_t, const char * error) { came.set_value(error); }), 3u);
        const uint8_t * from = dropped.data();
        CHECK(!one.reader.withdraw(from, from + file_reader::room_for(size), pieces + 1));  // one would have begun
        CHECK(one.reader.withdraw(from, from + file_reader::room_for(size), pieces));
        CHECK(!one.reader.withdraw(from, from + file_reader::room_for(size), pieces));
        one.go();
        CHECK(came.get_future().get() == nullptr);
        read = one.reader.bytes_read();
    }
    CHECK(!told);
    CHECK(std::equal(file.bytes.begin() + offset, file.bytes.begin() + offset + size, kept.data() + file_reader::shift_of(offset), [](char a, uint8_t b) { return uint8_t(a) == b; }));
    CHECK(std::all_of(dropped.data(), dropped.data() + size, [](uint8_t byte) { return byte == 7; }));
    CHECK(read < size + 10000);
}

void what_is_demanded_goes_first_and_is_not_withdrawn() {
    const made_file       file;
    std::vector<uint32_t> order;
    std::promise<void>    last;
    slot_memory           room(3 * file_reader::room_for(100));
    const uint64_t        each = file_reader::room_for(100);
    {
        busy_reader one(file.path);
        for (uint32_t i = 0; i < 3; i++) {
            one.reader.read(0, i * 100000, { 100 }, room.data() + i * each, file_reader::priority::prefetch, [&, i](uint32_t, const char *) {
                order.push_back(i);
                if (order.size() == 3) {
                    last.set_value();
                }
            });
        }
        one.reader.hurry(room.data() + each, room.data() + 2 * each);
        CHECK(!one.reader.withdraw(room.data() + each, room.data() + 2 * each, 1));
        one.go();
        last.get_future().wait();
    }
    CHECK((order == std::vector<uint32_t>{ 1, 0, 2 }));
}

// Blocks of a file, one behind the other, that wait while the only thread is busy.
struct neighbours {
    static constexpr uint32_t count = 8;
    uint64_t                  block;
    slot_memory               room;
    std::vector<const char *> failures = std::vector<const char *>(count, nullptr);
    std::atomic<uint32_t>     told{ 0 };
    std::promise<void>        all;

    explicit neighbours(uint64_t block) : block(block), room(count * 2 * file_reader::aligned(block)) {
        std::fill_n(room.data(), count * 2 * file_reader::aligned(block), uint8_t(7));
    }
    uint8_t * room_of(uint32_t i) const { return room.data() + (count - 1 - i) * 2 * file_reader::aligned(block); }  // scattered, backwards

    void ask(file_reader & reader, uint64_t offset, uint32_t i) {
        reader.read(0, offset + i * file_reader::aligned(block), { block / 2, block }, room_of(i), file_reader::priority::demand, [this, i](uint32_t, const char * failure) {
            failures[i] = failure ? failure : failures[i];
            if (++told == 2 * count) {
                all.set_value();
            }
        });
    }
    bool is_right(const made_file & file, uint64_t offset, uint32_t i) const {
        const char *    from = file.bytes.data() + offset + i * file_reader::aligned(block);
        const uint8_t * to   = room_of(i);
        return std::memcmp(from, to, block) == 0 && to[file_reader::aligned(block)] == 7;
    }
};

// Requests that it took, but for that of the busy reader.
uint64_t requests_for(neighbours & blocks, uint64_t offset, const std::vector<uint32_t> & order, const made_file & file) {
    busy_reader one(file.path);
    for (const uint32_t i : order) {
        blocks.ask(one.reader, offset, i);
    }
    one.go();
    blocks.all.get_future().wait();
    return one.reader.requests() - 1;
}

void small_neighbours_are_read_with_one_request() {
    const made_file file;
    const auto      check = [&](uint64_t block, uint64_t requests) {
        neighbours blocks(block);
        CHECK_EQUAL(requests_for(blocks, 40960, { 0, 1, 2, 3, 4, 5, 6, 7 }, file), requests);
        for (uint32_t i = 0; i < neighbours::count; i++) {
            CHECK(!blocks.failures[i] && blocks.is_right(file, 40960, i));
        }
    };
    check(20000, 1);
    check(300000, 3);  // up to 1 MiB: three, three, two
    check(600000, 8);
    neighbours mixed(20000);  // those that wait one behind the other and lie so
    CHECK_EQUAL(requests_for(mixed, 0, { 4, 5, 6, 1, 0, 7, 2, 3 }, file), 5u);
    for (uint32_t i = 0; i < neighbours::count; i++) {
        CHECK(!mixed.failures[i] && mixed.is_right(file, 0, i));
    }
}

void a_file_that_ends_early_fails_what_lies_behind_its_end() {
    const made_file file;
    neighbours      blocks(20000);
    const uint64_t  offset = 4095 * 1024 / 4096 * 4096;
    std::filesystem::resize_file(std::filesystem::u8path(file.path), offset + 5 * 20480 + 100);
    CHECK_EQUAL(requests_for(blocks, offset, { 0, 1, 2, 3, 4, 5, 6, 7 }, file), 1u);
    for (uint32_t i = 0; i < neighbours::count; i++) {
        CHECK_EQUAL(blocks.failures[i] != nullptr, i >= 5);
        CHECK(i >= 5 || blocks.is_right(file, offset, i));
    }
}

// The share of a reader: else one would read what several could.
void what_waits_is_left_to_the_other_readers() {
    const made_file file;
    neighbours      blocks(20000);
    file_reader     reader({ file.path }, 8);
    for (uint32_t i = 0; i < neighbours::count; i++) {
        blocks.ask(reader, 0, i);
    }
    blocks.all.get_future().wait();
    CHECK_EQUAL(reader.requests(), uint64_t(neighbours::count));
}

}  // namespace

int main() {
    small_neighbours_are_read_with_one_request();
    a_file_that_ends_early_fails_what_lies_behind_its_end();
    what_waits_is_left_to_the_other_readers();
    what_has_not_begun_can_be_withdrawn();
    what_is_demanded_goes_first_and_is_not_withdrawn();
    return moebius_test::check_result();
}
