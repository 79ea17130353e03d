// Reads that wait in the queue: demanded ones go first, and those that nobody wants any more can be taken back.
#include "check.h"
#include "experts/store/file-reader.h"
#include "experts/store/slot-memory.h"

#include <algorithm>
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

}  // namespace

int main() {
    what_has_not_begun_can_be_withdrawn();
    what_is_demanded_goes_first_and_is_not_withdrawn();
    return moebius_test::check_result();
}
