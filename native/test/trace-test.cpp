// Trace files: what is written is read; whatever is wrong is refused or left out, and no length is believed.
#include "check.h"
#include "experts/simulate/crc32.h"
#include "experts/simulate/trace.h"
#include "router/observer.h"

#include <ggml.h>

#include <filesystem>
#include <fstream>
#include <random>

using namespace moebius;

namespace {

const char * const good_json = R"({"model":"m","architecture":"a","moeLayers":[1,3],"expertCount":8,"expertUsedCount":2,"later":true})";

std::string u16(uint32_t value) {
    return { char(value & 0xFF), char(value >> 8 & 0xFF) };
}

std::string u32(uint32_t value) {
    return u16(value & 0xFFFF) + u16(value >> 16);
}

// Bit by bit: not the reader's table.
uint32_t crc_of(const std::string & text) {
    uint32_t crc = ~0u;
    for (const char c : text) {
        crc ^= uint8_t(c);
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ ((crc & 1) ? 0xEDB88320u : 0u);
        }
    }
    return ~crc;
}

std::string header(const std::string & json = good_json, uint32_t version = 1) {
    return "MOETRACE" + u32(version) + u32(uint32_t(json.size())) + json + u32(crc_of(json));
}

std::string framed(const std::string & payload) {
    return u32(uint32_t(payload.size())) + payload + u32(crc_of(payload));
}

// Token t, cell i: expert (t + i) % 8 with weight i / 4.
std::string record(uint32_t sequence, uint32_t position, uint32_t tokens) {
    std::string experts;
    std::string weights;
    for (uint32_t token = 0; token < tokens; token++) {
        for (uint32_t cell = 0; cell < 4; cell++) {
            experts += u16((token + cell) % 8);
            weights += u16(ggml_fp32_to_fp16(float(cell) / 4));
        }
    }
    return u32(sequence) + u32(position) + u32(tokens) + std::string(size_t(tokens) * 4, 'i') + experts + weights;
}

class scratch_file {
  public:
    scratch_file() : path((std::filesystem::temp_directory_path() / ("moebius-trace-" + std::to_string(std::random_device()()))).string()) {}
    ~scratch_file() { std::filesystem::remove(path); }
    const std::string path;
};

routing_trace read(const std::string & bytes) {
    const scratch_file file;
    std::ofstream(file.path, std::ios::binary) << bytes;
    return trace_read(file.path);
}

std::string code_of(const std::string & bytes) {
    try {
        read(bytes);
    } catch (const user_error & error) {
        return error.code;
    }
    return "";
}

void the_checksum_is_zlibs() {
    const std::string digits = "123456789";
    CHECK_EQUAL(crc32_of(reinterpret_cast<const uint8_t *>(digits.data()), digits.size()), 0xCBF43926u);
    CHECK_EQUAL(crc32_of(nullptr, 0), 0u);
}

void what_was_written_is_read() {
    const routing_trace trace = read(header() + framed(record(4, 0, 3)) + framed(record(4, 3, 1)));
    CHECK_EQUAL(trace.model, "m");
    CHECK((trace.shape.layers == std::vector<int32_t>{ 1, 3 }));
    CHECK_EQUAL(trace.shape.expert_count, 8u);
    CHECK_EQUAL(trace.shape.expert_used_count, 2u);
    CHECK(trace.whole);
    CHECK_EQUAL(trace.tokens(), 4u);
    CHECK_EQUAL(trace.records.size(), 2u);
    CHECK_EQUAL(trace.records[0].sequence, 4u);
    CHECK_EQUAL(trace.records[1].first_position, 3u);
    CHECK((trace.records[0].experts == std::vector<uint16_t>{ 0, 1, 2, 3, 1, 2, 3, 4, 2, 3, 4, 5 }));
    CHECK((trace.records[1].weights == std::vector<float>{ 0.0f, 0.25f, 0.5f, 0.75f }));
    CHECK(read(header()).records.empty());
}

void not_computed_experts_are_kept() {
    std::string payload = record(0, 0, 1);
    payload.replace(16, 2, u16(0xFFFF));
    const routing_trace trace = read(header() + framed(payload));
    CHECK_EQUAL(trace.records.at(0).experts.at(0), observed_routes::not_computed);
    CHECK(trace.whole);
}

void a_tail_that_was_cut_is_left_out() {
    const std::string good = header() + framed(record(0, 0, 2));
    const std::string last = framed(record(0, 2, 1));
    for (size_t bytes = 1; bytes < last.size(); bytes++) {
        const routing_trace trace = read(good + last.substr(0, bytes));
        CHECK(!trace.whole && trace.tokens() == 2);
    }
    CHECK(read(good + last).whole);
}

void a_flipped_bit_ends_the_trace() {
    const std::string good  = header() + framed(record(0, 0, 2));
    const std::string next  = framed(record(0, 2, 2));
    const std::string after = framed(record(0, 4, 1));
    for (size_t bit = 0; bit < next.size() * 8; bit++) {
        std::string damaged = next;
        damaged[bit / 8]    = char(damaged[bit / 8] ^ (1 << bit % 8));
        const routing_trace trace = read(good + damaged + after);
        CHECK(!trace.whole && trace.tokens() == 2);
    }
}

void a_flipped_bit_of_the_header_is_refused() {
    const std::string good = header();
    for (size_t bit = 0; bit < good.size() * 8; bit++) {
        std::string damaged = good;
        damaged[bit / 8]    = char(damaged[bit / 8] ^ (1 << bit % 8));
        const std::string code = code_of(damaged);
        CHECK(code == "file.corrupt" || code == "file.version" || code == "file.truncated");
    }
}

void lengths_that_lie_allocate_nothing() {
    const std::string good = header() + framed(record(0, 0, 2));
    // the payload claims four billion tokens; its length is that of them modulo 2^32, and as large as can be
    for (const uint32_t tokens : { 0xFFFFFFFFu, 0x10000000u, 0x0CCCCCCDu }) {
        for (const uint32_t length : { 12u + tokens * 20u, 0xFFFFFFFFu, 12u, 0u }) {
            const routing_trace trace = read(good + u32(length) + u32(0) + u32(0) + u32(tokens) + std::string(64, 'x'));
            CHECK(!trace.whole && trace.tokens() == 2);
        }
    }
    CHECK_EQUAL(code_of("MOETRACE" + u32(1) + u32(0xFFFFFFFF) + "{}"), "file.corrupt");
    CHECK_EQUAL(code_of("MOETRACE" + u32(1) + u32(1000) + "{}"), "file.truncated");
}

void experts_and_weights_that_cannot_be_are_damage() {
    std::string unknown = record(0, 0, 1);
    unknown.replace(16, 2, u16(8));
    CHECK(!read(header() + framed(unknown)).whole);
    std::string infinite = record(0, 0, 1);
    infinite.replace(16 + 8, 2, u16(0x7C00));
    CHECK(!read(header() + framed(infinite)).whole);
}

void what_is_no_trace_is_refused() {
    CHECK_EQUAL(code_of("GGUFTRACE, or what?"), "file.corrupt");
    CHECK_EQUAL(code_of("GG"), "file.corrupt");
    CHECK_EQUAL(code_of(""), "file.truncated");
    CHECK_EQUAL(code_of("MOET"), "file.truncated");
    CHECK_EQUAL(code_of(header(good_json, 2)), "file.version");
    CHECK_EQUAL(code_of(header().substr(0, 40)), "file.truncated");
    CHECK_THROWS(trace_read("no/such.moetrace"), user_error, error.code == "file.not-found");
    CHECK_THROWS(trace_read(std::filesystem::temp_directory_path().string()), user_error, error.code == "file.unreadable");
}

void headers_that_describe_no_model_are_refused() {
    for (const char * json : {
             "[]", "not json", "{}", "",
             R"({"model":"m","moeLayers":[0],"expertCount":8})",
             R"({"model":"m","moeLayers":[0],"expertCount":8,"expertUsedCount":9})",
             R"({"model":"m","moeLayers":[0],"expertCount":65536,"expertUsedCount":2})",
             R"({"model":"m","moeLayers":[0],"expertCount":-1,"expertUsedCount":0})",
             R"({"model":"m","moeLayers":[0],"expertCount":8.5,"expertUsedCount":2})",
             R"({"model":"m","moeLayers":[2,1],"expertCount":8,"expertUsedCount":2})",
             R"({"model":"m","moeLayers":[-1],"expertCount":8,"expertUsedCount":2})",
             R"({"model":"m","moeLayers":[99999999999],"expertCount":8,"expertUsedCount":2})",
             R"({"model":"m","moeLayers":7,"expertCount":8,"expertUsedCount":2})",
             R"({"model":7,"moeLayers":[0],"expertCount":8,"expertUsedCount":2})",
         }) {
        CHECK_EQUAL(code_of(header(json)), "file.corrupt");
    }
}

}  // namespace

int main() {
    the_checksum_is_zlibs();
    what_was_written_is_read();
    not_computed_experts_are_kept();
    a_tail_that_was_cut_is_left_out();
    a_flipped_bit_ends_the_trace();
    a_flipped_bit_of_the_header_is_refused();
    lengths_that_lie_allocate_nothing();
    experts_and_weights_that_cannot_be_are_damage();
    what_is_no_trace_is_refused();
    headers_that_describe_no_model_are_refused();
    return moebius_test::check_result();
}
