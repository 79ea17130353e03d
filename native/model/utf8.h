// Bytes of unknown origin made fit for JSON and for people.
#pragma once

#include <string>

namespace moebius {

// Every malformed byte (overlong forms and surrogates too) becomes U+FFFD; valid UTF-8 comes back unchanged.
std::string utf8_repair(const std::string & bytes);

// At most `bytes` bytes of valid UTF-8, never cutting a character.
std::string utf8_prefix(const std::string & text, size_t bytes);

// For error messages: repaired, control characters as \xNN, at most 120 bytes.
std::string utf8_quote(const std::string & bytes);

}  // namespace moebius
