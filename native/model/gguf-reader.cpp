#include "gguf-part.h"
#include "rpc/errors.h"
#include "utf8.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

namespace moebius {

void gguf_fail(const char * code, const std::string & path, const std::string & message, nlohmann::ordered_json details) {
    const auto name = std::filesystem::u8path(path).filename().u8string();
    details["path"] = utf8_repair(path);
    throw user_error(code, utf8_repair(name + ": " + message), std::move(details));
}

gguf_reader::gguf_reader(const std::string & path) : path_(path) {
    const auto      file = std::filesystem::u8path(path);
    std::error_code error;
    const auto      status = std::filesystem::status(file, error);
    if (status.type() == std::filesystem::file_type::not_found) {
        gguf_fail("file.not-found", path, "there is no such file; check the path or scan the folder again");
    }
    if (status.type() != std::filesystem::file_type::regular) {
        gguf_fail("file.unreadable", path, "this is not a regular file");
    }
    size_ = std::filesystem::file_size(file, error);
    stream_.open(file, std::ios::binary);
    if (error || !stream_) {
        gguf_fail("file.unreadable", path, "cannot be opened for reading; check its permissions");
    }
}

void gguf_reader::need(uint64_t bytes, const char * what) const {
    if (bytes > left()) {
        gguf_fail("file.truncated", path_,
                  std::string(what) + " at offset " + std::to_string(position_) + " needs " + std::to_string(bytes) +
                      " bytes, but the file ends at " + std::to_string(size_) + "; it is damaged or not fully downloaded",
                  { { "offset", position_ }, { "need", bytes }, { "have", left() } });
    }
    if (bytes > GGUF_MAX_HEADER_BYTES || position_ + bytes > GGUF_MAX_HEADER_BYTES) {
        gguf_fail("file.corrupt", path_,
                  std::string(what) + " at offset " + std::to_string(position_) + " is too far into the file: a header may take " +
                      std::to_string(GGUF_MAX_HEADER_BYTES) + " bytes",
                  { { "offset", position_ } });
    }
}

void gguf_reader::fill() {
    buffer_.resize(std::min<uint64_t>(256 * 1024, left()));
    stream_.read(reinterpret_cast<char *>(buffer_.data()), std::streamsize(buffer_.size()));
    if (size_t(stream_.gcount()) != buffer_.size()) {
        gguf_fail("file.unreadable", path_, "reading failed near offset " + std::to_string(position_));
    }
    buffer_used_ = 0;
}

void gguf_reader::read(void * target, uint64_t bytes, const char * what) {
    need(bytes, what);
    auto * out = static_cast<uint8_t *>(target);
    while (bytes > 0) {
        if (buffer_used_ == buffer_.size()) {
            fill();
        }
        const size_t part = std::min<uint64_t>(bytes, buffer_.size() - buffer_used_);
        std::memcpy(out, buffer_.data() + buffer_used_, part);
        buffer_used_ += part;
        position_ += part;
        out += part;
        bytes -= part;
    }
}

uint32_t gguf_reader::read_u32(const char * what) {
    uint32_t value = 0;
    read(&value, sizeof(value), what);
    return value;
}

uint64_t gguf_reader::read_u64(const char * what) {
    uint64_t value = 0;
    read(&value, sizeof(value), what);
    return value;
}

std::string gguf_reader::read_string(uint64_t limit, const char * what) {
    const uint64_t start  = position_;
    const uint64_t length = read_u64(what);
    if (length > limit) {
        gguf_fail("file.corrupt", path_,
                  std::string(what) + " at offset " + std::to_string(start) + " claims to be " + std::to_string(length) +
                      " bytes long; the limit is " + std::to_string(limit),
                  { { "offset", start }, { "length", length } });
    }
    need(length, what);
    std::string text(size_t(length), '\0');
    if (length > 0) {
        read(text.data(), length, what);
    }
    return text;
}

}  // namespace moebius
