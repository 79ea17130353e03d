// The frame parser takes what LSP allows, in pieces of any size, and nothing else.
#include "check.h"
#include "rpc/framing.h"

#include <algorithm>
#include <vector>

using namespace moebius;
using kind = frame_event::kind_type;

static std::vector<frame_event> parse(const std::string & bytes, size_t piece, uint64_t limit = 1000) {
    frame_parser             parser(limit);
    std::vector<frame_event> events;
    for (size_t at = 0; at < bytes.size(); at += piece) {
        parser.append(bytes.data() + at, std::min(piece, bytes.size() - at));
        while (auto event = parser.next()) {
            events.push_back(*event);
        }
    }
    return events;
}

static void payloads_come_whole_in_pieces_of_any_size() {
    const std::string bytes = frame_header(5) + "hello" + frame_header(0) + "content-type: x; charset=utf-8\r\nCONTENT-LENGTH:  3 \r\n\r\nabc";
    for (const size_t piece : { size_t(1), size_t(2), size_t(7), size_t(1000) }) {
        const auto events = parse(bytes, piece);
        CHECK_EQUAL(events.size(), 3u);
        CHECK(events.size() == 3 && events[0].kind == kind::payload && events[0].text == "hello");
        CHECK(events.size() == 3 && events[1].kind == kind::payload && events[1].text.empty());
        CHECK(events.size() == 3 && events[2].kind == kind::payload && events[2].text == "abc");
    }
}

static void a_payload_over_the_limit_is_skipped_and_the_stream_goes_on() {
    const std::string bytes = frame_header(1001) + std::string(1001, 'x') + frame_header(2) + "ok";
    for (const size_t piece : { size_t(1), size_t(100), size_t(10000) }) {
        const auto events = parse(bytes, piece);
        CHECK_EQUAL(events.size(), 2u);
        CHECK(events.size() == 2 && events[0].kind == kind::too_large && events[0].text.find("1001 bytes") != std::string::npos &&
              events[0].text.find("1000 bytes") != std::string::npos);
        CHECK(events.size() == 2 && events[1].kind == kind::payload && events[1].text == "ok");
    }
}

static void a_lying_length_costs_no_memory() {
    frame_parser      parser(1000);
    const std::string header = frame_header(999999999999999999);
    parser.append(header.data(), header.size());
    CHECK(parser.next()->kind == kind::too_large);
    CHECK(parser.inside_frame());
}

static void broken(const std::string & header, const std::string & reason) {
    for (const size_t piece : { size_t(1), size_t(100000) }) {
        const auto events = parse(header + frame_header(2) + "ok", piece);
        CHECK_EQUAL(events.size(), 1u);
        CHECK(!events.empty() && events[0].kind == kind::broken);
        CHECK(!events.empty() && events[0].text.find(reason) != std::string::npos);
    }
}

static void headers_that_make_no_sense_end_the_stream() {
    broken("garbage\r\n\r\n", "without a colon");
    broken("\r\n\r\n", "without Content-Length");
    broken("Content-Type: a\r\n\r\n", "without Content-Length");
    broken("Content-Length: -1\r\n\r\n", "not a decimal");
    broken("Content-Length: +1\r\n\r\n", "not a decimal");
    broken("Content-Length: 0x10\r\n\r\n", "not a decimal");
    broken("Content-Length: 1e3\r\n\r\n", "not a decimal");
    broken("Content-Length: \r\n\r\n", "not a decimal");
    broken("Content-Length: 9999999999999999999999\r\n\r\n", "not a decimal");
    broken("Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "twice");
    broken("Host: example\r\nContent-Length: 1\r\n\r\n", "unknown header");
    broken("Content-Length: 1\n\n" + std::string(5000, 'x'), "longer than 4096");
    broken(std::string(100000, 'a'), "longer than 4096");
    broken(std::string("\x00\x01\xff: 1\r\n\r\n", 11), "unknown header");
}

static void the_end_inside_a_frame_is_noticed() {
    frame_parser parser;
    CHECK(!parser.inside_frame());
    parser.append("Content-Le", 10);
    CHECK(!parser.next());
    CHECK(parser.inside_frame());
    const std::string rest = "ngth: 4\r\n\r\nab";
    parser.append(rest.data(), rest.size());
    CHECK(!parser.next());
    CHECK(parser.inside_frame());
    parser.append("cd", 2);
    CHECK(parser.next().has_value());
    CHECK(!parser.inside_frame());
}

int main() {
    payloads_come_whole_in_pieces_of_any_size();
    a_payload_over_the_limit_is_skipped_and_the_stream_goes_on();
    a_lying_length_costs_no_memory();
    headers_that_make_no_sense_end_the_stream();
    the_end_inside_a_frame_is_noticed();
    return moebius_test::check_result();
}
