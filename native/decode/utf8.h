// UTF-8 as bytes arrive: what is whole, what may still become whole, what never will.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace moebius {

// Number of bytes at the end of `bytes` that are the beginning of a character of which more bytes are missing; 0..3.
size_t utf8_incomplete_tail(std::string_view bytes);

// Appends `bytes` to `text` as valid UTF-8: every maximal part that is not a character becomes U+FFFD.
void utf8_append_valid(std::string & text, std::string_view bytes);

}  // namespace moebius
