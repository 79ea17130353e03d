#include "utf8.h"

#include <cstdint>
#include <cstdio>

namespace moebius {

// Length of the well-formed character at `index` (RFC 3629), 0 if it is malformed.
static size_t utf8_length(const std::string & bytes, size_t index) {
    const auto    at    = [&](size_t i) { return i < bytes.size() ? uint8_t(bytes[i]) : uint8_t(0); };
    const auto    trail = [&](size_t i) { return (at(i) & 0xC0) == 0x80; };
    const uint8_t first = at(index);
    const uint8_t next  = at(index + 1);
    if (first < 0x80) {
        return 1;
    }
    if (first >= 0xC2 && first <= 0xDF) {
        return trail(index + 1) ? 2 : 0;
    }
    if (first >= 0xE0 && first <= 0xEF) {
        const bool allowed = (first != 0xE0 || next >= 0xA0) && (first != 0xED || next <= 0x9F);
        return allowed && trail(index + 1) && trail(index + 2) ? 3 : 0;
    }
    if (first >= 0xF0 && first <= 0xF4) {
        const bool allowed = (first != 0xF0 || next >= 0x90) && (first != 0xF4 || next <= 0x8F);
        return allowed && trail(index + 1) && trail(index + 2) && trail(index + 3) ? 4 : 0;
    }
    return 0;
}

std::string utf8_repair(const std::string & bytes) {
    std::string result;
    result.reserve(bytes.size());
    for (size_t index = 0; index < bytes.size();) {
        const size_t length = utf8_length(bytes, index);
        if (length == 0) {
            result += "\xEF\xBF\xBD";
            ++index;
        } else {
            result.append(bytes, index, length);
            index += length;
        }
    }
    return result;
}

std::string utf8_prefix(const std::string & text, size_t bytes) {
    if (text.size() <= bytes) {
        return text;
    }
    while (bytes > 0 && (uint8_t(text[bytes]) & 0xC0) == 0x80) {
        --bytes;
    }
    return text.substr(0, bytes);
}

std::string utf8_quote(const std::string & bytes) {
    std::string result;
    for (const char c : utf8_prefix(utf8_repair(bytes.substr(0, 120)), 120)) {
        if (uint8_t(c) < 0x20 || c == 0x7F) {
            char escape[8];
            std::snprintf(escape, sizeof(escape), "\\x%02x", unsigned(uint8_t(c)));
            result += escape;
        } else {
            result += c;
        }
    }
    return bytes.size() > 120 ? result + "..." : result;
}

}  // namespace moebius
