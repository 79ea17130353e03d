// Little-endian writer of the binary frames that README.md describes. Keeps its memory between frames.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace moebius {

enum class frame_kind : uint8_t { tokens = 1, routing = 2, routes = 3, logits = 4 };

class frame_writer {
  public:
    static constexpr uint8_t  magic   = 0xB1;
    static constexpr uint16_t version = 1;

    void begin(frame_kind kind, uint32_t generation) {
        bytes.clear();
        u8(magic);
        u8(uint8_t(kind));
        u16(version);
        u32(generation);
    }

    void u8(uint8_t value) { bytes.push_back(value); }
    void u16(uint16_t value) { append(&value, sizeof(value)); }
    void u32(uint32_t value) { append(&value, sizeof(value)); }
    void i32(int32_t value) { append(&value, sizeof(value)); }
    void f32(float value) { append(&value, sizeof(value)); }
    void text(const char * data, size_t size) { append(data, size); }

    // raw values of this machine, which is little-endian like every platform of the engine
    void append(const void * data, size_t size) {
        const auto * from = static_cast<const uint8_t *>(data);
        bytes.insert(bytes.end(), from, from + size);
    }

    // overwrites 4 bytes written before
    void set_u32(size_t at, uint32_t value) { std::memcpy(bytes.data() + at, &value, sizeof(value)); }

    size_t size() const { return bytes.size(); }
    void   reserve(size_t size) { bytes.reserve(size); }
    bool   empty() const { return bytes.empty(); }

    std::vector<uint8_t> take() { return std::exchange(bytes, {}); }

  private:
    std::vector<uint8_t> bytes;
};

}  // namespace moebius
