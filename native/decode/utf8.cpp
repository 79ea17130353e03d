#include "utf8.h"

#include <algorithm>
#include <cstdint>

namespace moebius {

namespace {

constexpr std::string_view replacement = "\xEF\xBF\xBD";

struct scanned {
    size_t length;    // bytes that belong together
    bool   complete;  // a character
    bool   hopeful;   // not complete, but only because the input ended
};

// The character, or the maximal beginning of one, at the start of `bytes` (Unicode 15, table 3-7). `bytes` is not empty.
scanned scan(std::string_view bytes) {
    const auto    at    = [&](size_t i) { return uint8_t(bytes[i]); };
    const uint8_t first = at(0);
    if (first < 0x80) {
        return { 1, true, false };
    }
    const size_t want = first >= 0xC2 && first <= 0xDF ? 2 : (first & 0xF0) == 0xE0 ? 3 : first >= 0xF0 && first <= 0xF4 ? 4 : 0;
    if (want == 0) {
        return { 1, false, false };
    }
    for (size_t i = 1; i < want; ++i) {
        if (i == bytes.size()) {
            return { i, false, true };
        }
        // the second byte is restricted: no overlong forms, no surrogates, nothing above U+10FFFF
        const uint8_t low  = i > 1 ? 0x80 : first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
        const uint8_t high = i > 1 ? 0xBF : first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
        if (at(i) < low || at(i) > high) {
            return { i, false, false };
        }
    }
    return { want, true, false };
}

}  // namespace

size_t utf8_incomplete_tail(std::string_view bytes) {
    for (size_t back = 1; back <= std::min<size_t>(3, bytes.size()); ++back) {
        const std::string_view tail = bytes.substr(bytes.size() - back);
        if ((uint8_t(tail[0]) & 0xC0) == 0x80) {
            continue;
        }
        const scanned s = scan(tail);
        return s.hopeful && s.length == back ? back : 0;
    }
    return 0;
}

void utf8_append_valid(std::string & text, std::string_view bytes) {
    while (!bytes.empty()) {
        const scanned s = scan(bytes);
        text += s.complete ? bytes.substr(0, s.length) : replacement;
        bytes.remove_prefix(s.length);
    }
}

}  // namespace moebius
