// The writer keeps order, never blocks its callers on a slow reader, and notices one that is gone.
#include "check.h"
#include "rpc/framing.h"
#include "rpc/writer.h"

#include <atomic>

#ifndef _WIN32
#    include <fcntl.h>
#    include <signal.h>
#    include <unistd.h>
#endif

using namespace moebius;

static std::string read_all(int descriptor) {
    std::string bytes;
    char        buffer[4096];
    ssize_t     size;
    while ((size = read(descriptor, buffer, sizeof(buffer))) > 0) {
        bytes.append(buffer, size_t(size));
    }
    return bytes;
}

static void messages_and_frames_arrive_in_order() {
    int ends[2];
    CHECK(pipe(ends) == 0);
    std::string received;
    std::thread reader([&] { received = read_all(ends[0]); });
    {
        writer out(ends[1], [] {});
        for (int i = 0; i < 1000; i++) {
            out.send_message({ { "n", i } });
            out.send_frame({ 0xB1, uint8_t(i) });
        }
        out.send_message({ { "text", "broken \xff utf-8" } });
        CHECK(out.finish(std::chrono::seconds(10)));
        out.send_message({ { "late", true } });
    }
    close(ends[1]);
    reader.join();
    close(ends[0]);
    frame_parser parser;
    parser.append(received.data(), received.size());
    for (int i = 0; i < 1000; i++) {
        CHECK_EQUAL(json::parse(parser.next()->text)["n"], i);
        CHECK(parser.next()->text == std::string({ char(0xB1), char(i) }));
    }
    CHECK_EQUAL(json::parse(parser.next()->text)["text"], "broken \xEF\xBF\xBD utf-8");
    CHECK(!parser.next());
    CHECK(!parser.inside_frame());
}

static void a_reader_that_does_not_read_blocks_nobody() {
    int ends[2];
    CHECK(pipe(ends) == 0);
    std::atomic<bool> broken{ false };
    writer            out(ends[1], [&] { broken = true; });
    const auto        start = std::chrono::steady_clock::now();
    for (int i = 0; i < 200; i++) {
        out.send_frame(std::vector<uint8_t>(10000, 0xB1));  // 2 MB; a pipe holds 64 KiB
    }
    CHECK(!out.finish(std::chrono::milliseconds(50)));
    CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(5));
    CHECK(!broken);
    close(ends[0]);  // and now it is gone
    CHECK(out.finish(std::chrono::seconds(10)));
    CHECK(broken);
    close(ends[1]);
}

int main() {
    signal(SIGPIPE, SIG_IGN);
    messages_and_frames_arrive_in_order();
    a_reader_that_does_not_read_blocks_nobody();
    return moebius_test::check_result();
}
