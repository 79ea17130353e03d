// Tells bytes from other bytes; no protection against forgery.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>

namespace moebius {

// FNV-1a by words of 8 bytes; the last one of an `add` is filled up with zeros.
class running_checksum {
  public:
    void add(const void * data, size_t bytes) {
        const auto * from = static_cast<const uint8_t *>(data);
        for (; bytes > 0; from += std::min<size_t>(bytes, 8), bytes -= std::min<size_t>(bytes, 8)) {
            uint64_t word = 0;
            std::memcpy(&word, from, std::min<size_t>(bytes, 8));
            hash = (hash ^ word) * 0x100000001b3ull;
            hash ^= hash >> 29;  // a word's high bits change the others, too
        }
    }
    void add(const std::string & text) {
        const uint64_t bytes = text.size();
        add(&bytes, sizeof(bytes));
        add(text.data(), text.size());
    }
    uint64_t value() const { return hash; }

  private:
    uint64_t hash = 0xcbf29ce484222325ull;
};

}  // namespace moebius
