// Turns the pieces of tokens into text that may be shown: whole UTF-8 characters, never a part of a stop string.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace moebius {

class text_stream {
  public:
    // Stop strings are not empty and valid UTF-8.
    explicit text_stream(std::vector<std::string> stops) : stops(std::move(stops)) {}

    // Adds a token's bytes; returns what they release. The view is valid until the next call.
    std::string_view push(std::string_view piece);

    // The stop string that ended the text, or nullptr. After one is found, push releases nothing more.
    const std::string * stopped_by() const { return found; }

    // Whether something is held back.
    bool holds() const { return !held.empty(); }

    // No more will come: releases what was held back; a character that never became whole is U+FFFD.
    std::string_view finish();

  private:
    bool   find_stop();
    size_t possible_stop() const;  // where in `held` the longest beginning of a stop string starts that ends it

    std::vector<std::string> stops;
    const std::string *      found = nullptr;
    std::string              held;      // bytes not released yet
    std::string              released;  // by the last call
};

}  // namespace moebius
