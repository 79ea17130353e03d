// CRC-32 as zlib, PNG and Ethernet have it (polynomial 0xEDB88320, reflected).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace moebius {

inline uint32_t crc32_of(const uint8_t * bytes, size_t count) {
    static const std::array<uint32_t, 256> table = [] {
        std::array<uint32_t, 256> made{};
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t value = i;
            for (int bit = 0; bit < 8; bit++) {
                value = (value & 1) != 0 ? 0xEDB88320u ^ value >> 1 : value >> 1;
            }
            made[i] = value;
        }
        return made;
    }();
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0; i < count; i++) {
        crc = table[(crc ^ bytes[i]) & 0xFF] ^ crc >> 8;
    }
    return ~crc;
}

}  // namespace moebius
