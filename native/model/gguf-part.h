// One file of a model: the bounded reader and the parser of header, metadata and tensor table. See gguf-file.h.
#pragma once

#include "gguf-file.h"

#include <nlohmann/json.hpp>

#include <fstream>
#include <string>
#include <vector>

namespace moebius {

// Bounds on what a header may claim, far above any real model, so that memory and time stay small.
constexpr uint64_t GGUF_MAX_HEADER_BYTES   = 128ull << 20;  // metadata + tensor table; the largest vocabularies take 20 MB
constexpr uint64_t GGUF_MAX_STRING_BYTES   = 64ull << 20;
constexpr uint64_t GGUF_MAX_KEY_BYTES      = 65535;  // the format's own limit
constexpr uint64_t GGUF_MAX_ARRAY_LENGTH   = 1ull << 22;
constexpr uint64_t GGUF_MAX_KEY_COUNT      = 8192;   // llama.cpp compares every key with every other
constexpr uint64_t GGUF_MAX_TENSOR_COUNT   = 32768;  // and every tensor name
constexpr uint64_t GGUF_MIN_ALIGNMENT      = 32;     // llama.cpp aborts when a mapped buffer is aligned to less
constexpr uint64_t GGUF_MAX_ALIGNMENT      = 65536;

// Throws user_error(code, "<file name>: <message>", details + path). `path` and `message` may hold any bytes.
[[noreturn]] void gguf_fail(const char * code, const std::string & path, const std::string & message,
                            nlohmann::ordered_json details = nlohmann::ordered_json::object());

// Sequential reader that never passes the end of the file. Fails with file.truncated, naming the offset.
class gguf_reader {
  public:
    explicit gguf_reader(const std::string & path);

    uint64_t            size() const { return size_; }
    uint64_t            position() const { return position_; }
    uint64_t            left() const { return size_ - position_; }
    const std::string & path() const { return path_; }

    // fails unless `bytes` more are there and the header stays within GGUF_MAX_HEADER_BYTES
    void        need(uint64_t bytes, const char * what) const;
    void        read(void * target, uint64_t bytes, const char * what);
    uint32_t    read_u32(const char * what);
    uint64_t    read_u64(const char * what);
    std::string read_string(uint64_t limit, const char * what);

  private:
    void fill();

    std::string          path_;
    std::ifstream        stream_;
    uint64_t             size_     = 0;
    uint64_t             position_ = 0;  // of the next byte to hand out
    std::vector<uint8_t> buffer_;
    size_t               buffer_used_ = 0;  // bytes of buffer_ handed out
};

struct gguf_part {
    std::string                                     path;
    uint64_t                                        bytes = 0;
    uint32_t                                        version = 0;
    std::vector<std::pair<std::string, gguf_value>> metadata;
    std::vector<gguf_tensor>                        tensors;  // `file` is 0

    const gguf_value * find(const std::string & key) const;
};

gguf_part gguf_read_part(const std::string & path);

// metadata.cpp's half of gguf_read_part: `count` key-value pairs from the reader's position
std::vector<std::pair<std::string, gguf_value>> gguf_read_metadata(gguf_reader & reader, uint64_t count);

// bytes of one element in the file; 0 for strings, arrays and unknown types
uint64_t gguf_element_bytes(gguf_type type);

}  // namespace moebius
