#include "trace.h"

#include "crc32.h"
#include "router/observer.h"
#include "rpc/json-text.h"

#include <ggml.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace moebius {

namespace {

constexpr char     magic[]            = "MOETRACE";
constexpr uint32_t version            = 1;
constexpr uint64_t fixed_bytes        = 16;  // magic, version, jsonBytes
constexpr uint64_t maximum_json_bytes = 1 << 20;
constexpr uint64_t payload_header     = 12;
constexpr uint64_t crc_bytes          = 4;

[[noreturn]] void fail(const char * code, const std::string & path, const std::string & what, json details = json::object()) {
    details["path"] = path;
    throw user_error(code, "The trace " + path + " cannot be used: " + what + ".", std::move(details));
}

uint32_t u32_at(const uint8_t * bytes) {
    return uint32_t(bytes[0]) | uint32_t(bytes[1]) << 8 | uint32_t(bytes[2]) << 16 | uint32_t(bytes[3]) << 24;
}

uint16_t u16_at(const uint8_t * bytes) {
    return uint16_t(bytes[0] | bytes[1] << 8);
}

// Bytes that a file really has are all that is ever allocated.
class file_bytes {
  public:
    explicit file_bytes(const std::string & path) : name(path) {
        const auto      file = std::filesystem::u8path(path);
        std::error_code error;
        const auto      status = std::filesystem::status(file, error);
        if (status.type() == std::filesystem::file_type::not_found) {
            throw user_error("file.not-found", "There is no file " + path + ".", { { "path", path } });
        }
        remaining = std::filesystem::file_size(file, error);
        stream.open(file, std::ios::binary);
        if (status.type() != std::filesystem::file_type::regular || error || !stream) {
            fail("file.unreadable", path, "it is no file that can be opened for reading");
        }
    }

    uint64_t            left() const { return remaining; }
    const std::string & path() const { return name; }

    // `bytes` must not be more than left().
    std::vector<uint8_t> take(uint64_t bytes) {
        std::vector<uint8_t> data(bytes);
        stream.read(reinterpret_cast<char *>(data.data()), std::streamsize(bytes));
        if (uint64_t(stream.gcount()) != bytes) {
            fail("file.unreadable", name, "reading failed with " + std::to_string(remaining) + " bytes to go");
        }
        remaining -= bytes;
        return data;
    }

  private:
    std::string   name;
    std::ifstream stream;
    uint64_t      remaining = 0;
};

std::vector<uint8_t> take_header(file_bytes & file, uint64_t bytes) {
    if (bytes > file.left()) {
        fail("file.truncated", file.path(), "it ends inside its header; record it again", { { "need", bytes }, { "have", file.left() } });
    }
    return file.take(bytes);
}

uint32_t count_of(const json & header, const char * key, uint32_t limit) {
    const json & value = header.at(key);
    if (!value.is_number_integer() || value < 0 || value > limit) {
        throw std::runtime_error(std::string(key) + " is not a count up to " + std::to_string(limit));
    }
    return value.get<uint32_t>();
}

router_shape shape_of(const json & header) {
    router_shape shape;
    shape.expert_count      = count_of(header, "expertCount", trace_experts_limit);
    shape.expert_used_count = count_of(header, "expertUsedCount", shape.expert_count);
    const json & layers     = header.at("moeLayers");
    if (!layers.is_array() || layers.size() > trace_layers_limit) {
        throw std::runtime_error("moeLayers is not a list of up to " + std::to_string(trace_layers_limit) + " layers");
    }
    for (const json & layer : layers) {
        const int32_t least = shape.layers.empty() ? 0 : shape.layers.back() + 1;
        if (!layer.is_number_integer() || layer < least || layer > INT16_MAX) {
            throw std::runtime_error("moeLayers are not ascending block indices");
        }
        shape.layers.push_back(layer.get<int32_t>());
    }
    return shape;
}

void read_header(file_bytes & file, routing_trace & trace) {
    if (file.left() < fixed_bytes) {
        const std::vector<uint8_t> start = file.take(std::min<uint64_t>(file.left(), 8));
        if (std::string(start.begin(), start.end()) != std::string(magic, start.size())) {
            fail("file.corrupt", file.path(), "it is not a trace file");
        }
        fail("file.truncated", file.path(), "it ends inside its header; record it again");
    }
    const std::vector<uint8_t> fixed = file.take(fixed_bytes);
    if (std::memcmp(fixed.data(), magic, 8) != 0) {
        fail("file.corrupt", file.path(), "it is not a trace file");
    }
    if (u32_at(&fixed[8]) != version) {
        fail("file.version", file.path(), "its format version is " + std::to_string(u32_at(&fixed[8])) + ", readable is 1", { { "version", u32_at(&fixed[8]) } });
    }
    const uint64_t json_bytes = u32_at(&fixed[12]);
    if (json_bytes > maximum_json_bytes) {
        fail("file.corrupt", file.path(), "its header claims " + std::to_string(json_bytes) + " bytes");
    }
    const std::vector<uint8_t> text = take_header(file, json_bytes + crc_bytes);
    if (crc32_of(text.data(), json_bytes) != u32_at(&text[json_bytes])) {
        fail("file.corrupt", file.path(), "the checksum of its header does not match");
    }
    try {
        const json header = json_parse(std::string(text.begin(), text.begin() + ptrdiff_t(json_bytes)));
        trace.model       = header.at("model").get<std::string>();
        trace.shape       = shape_of(header);
    } catch (const std::exception & error) {
        fail("file.corrupt", file.path(), std::string("its header does not describe a model: ") + error.what());
    }
}

// False: damaged.
bool decode_record(const std::vector<uint8_t> & payload, const router_shape & shape, trace_record & record) {
    record.sequence        = u32_at(&payload[0]);
    record.first_position  = u32_at(&payload[4]);
    record.tokens          = u32_at(&payload[8]);
    const size_t    cells  = size_t(record.tokens) * shape.layer_count() * shape.expert_used_count;
    const uint8_t * bytes  = payload.data() + payload_header + size_t(record.tokens) * 4;
    record.experts.resize(cells);
    record.weights.resize(cells);
    for (size_t i = 0; i < cells; i++) {
        record.experts[i] = u16_at(bytes + 2 * i);
        record.weights[i] = ggml_fp16_to_fp32(u16_at(bytes + 2 * (cells + i)));
        const bool known  = record.experts[i] < shape.expert_count || record.experts[i] == observed_routes::not_computed;
        if (!known || !std::isfinite(record.weights[i])) {
            return false;
        }
    }
    return true;
}

// False: nothing good follows. The lengths are compared before anything is allocated.
bool read_record(file_bytes & file, routing_trace & trace) {
    if (file.left() < 4 + payload_header) {
        return false;
    }
    const std::vector<uint8_t> head    = file.take(4 + payload_header);
    const uint64_t             length  = u32_at(&head[0]);
    const uint64_t             tokens  = u32_at(&head[12]);
    const uint64_t             a_token = 4 + uint64_t(trace.shape.layer_count()) * trace.shape.expert_used_count * 4;  // < 2^32
    // both factors have 32 bits: no overflow
    if (length != payload_header + tokens * a_token || length - payload_header + crc_bytes > file.left()) {
        return false;
    }
    std::vector<uint8_t> payload = file.take(length - payload_header + crc_bytes);
    payload.insert(payload.begin(), head.begin() + 4, head.end());
    trace_record record;
    if (crc32_of(payload.data(), length) != u32_at(&payload[length]) || !decode_record(payload, trace.shape, record)) {
        return false;
    }
    trace.records.push_back(std::move(record));
    return true;
}

}  // namespace

uint64_t routing_trace::tokens() const {
    uint64_t sum = 0;
    for (const trace_record & record : records) {
        sum += record.tokens;
    }
    return sum;
}

routing_trace trace_read(const std::string & path) {
    file_bytes    file(path);
    routing_trace trace;
    read_header(file, trace);
    while (file.left() > 0) {
        if (!read_record(file, trace)) {
            trace.whole = false;
            break;
        }
    }
    return trace;
}

}  // namespace moebius
