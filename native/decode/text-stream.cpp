#include "text-stream.h"

#include "utf8.h"

#include <algorithm>

namespace moebius {

// Cuts `held` before the earliest stop string in it. All of `held` is searched: it is one piece plus less than a stop string.
bool text_stream::find_stop() {
    size_t at = std::string::npos;
    for (const std::string & stop : stops) {
        const size_t here = held.find(stop);
        if (here < at) {
            at    = here;
            found = &stop;
        }
    }
    if (!found) {
        return false;
    }
    released.clear();
    utf8_append_valid(released, std::string_view(held).substr(0, at));
    held.clear();
    return true;
}

size_t text_stream::possible_stop() const {
    size_t start = held.size();
    for (const std::string & stop : stops) {
        const size_t longest = std::min(stop.size() - 1, held.size());
        for (size_t length = longest; length > held.size() - start; --length) {
            if (held.compare(held.size() - length, length, stop, 0, length) == 0) {
                start = held.size() - length;
                break;
            }
        }
    }
    return start;
}

std::string_view text_stream::push(std::string_view piece) {
    released.clear();
    if (found) {
        return released;
    }
    held += piece;
    if (!stops.empty() && find_stop()) {
        return released;
    }
    size_t ready = possible_stop();
    if (ready == held.size()) {
        ready -= utf8_incomplete_tail(held);
    }
    utf8_append_valid(released, std::string_view(held).substr(0, ready));
    held.erase(0, ready);
    return released;
}

std::string_view text_stream::finish() {
    released.clear();
    utf8_append_valid(released, held);
    held.clear();
    return released;
}

}  // namespace moebius
