#include "framing.h"

#include <algorithm>
#include <cctype>
#include <string_view>

namespace moebius {

namespace {

constexpr std::string_view header_end = "\r\n\r\n";

std::string lower(std::string_view text) {
    std::string result(text);
    std::transform(result.begin(), result.end(), result.begin(), [](unsigned char c) { return char(std::tolower(c)); });
    return result;
}

std::string_view trim(std::string_view text) {
    const auto first = text.find_first_not_of(" \t");
    const auto last  = text.find_last_not_of(" \t");
    return first == std::string_view::npos ? std::string_view() : text.substr(first, last - first + 1);
}

// What of a header could be shown to a person: printable ASCII, at most 60 characters.
std::string shown(std::string_view text) {
    std::string result;
    for (const char c : text.substr(0, 60)) {
        result += c >= 0x20 && c < 0x7f ? c : '?';
    }
    return result;
}

// Decimal digits only, at most 18 of them: no sign, no overflow.
std::optional<uint64_t> parse_length(std::string_view digits) {
    if (digits.empty() || digits.size() > 18) {
        return std::nullopt;
    }
    uint64_t value = 0;
    for (const char c : digits) {
        if (c < '0' || c > '9') {
            return std::nullopt;
        }
        value = value * 10 + uint64_t(c - '0');
    }
    return value;
}

// The value of Content-Length, or an empty optional with `why` set.
std::optional<uint64_t> read_header(std::string_view header, std::string & why) {
    std::optional<uint64_t> length;
    while (!header.empty()) {
        const auto end   = header.find("\r\n");
        const auto line  = header.substr(0, end);
        header           = end == std::string_view::npos ? std::string_view() : header.substr(end + 2);
        const auto colon = line.find(':');
        if (colon == std::string_view::npos) {
            why = "header line without a colon: '" + shown(line) + "'";
            return std::nullopt;
        }
        const std::string name  = lower(line.substr(0, colon));
        const auto        value = trim(line.substr(colon + 1));
        if (name == "content-length") {
            if (length) {
                why = "Content-Length is given twice";
                return std::nullopt;
            }
            length = parse_length(value);
            if (!length) {
                why = "Content-Length is not a decimal number: '" + shown(value) + "'";
                return std::nullopt;
            }
        } else if (name != "content-type") {
            why = "unknown header '" + shown(name) + "'";
            return std::nullopt;
        }
    }
    if (!length) {
        why = "header without Content-Length";
    }
    return length;
}

}  // namespace

void frame_parser::append(const char * data, size_t size) {
    if (state == state_type::broken) {
        return;
    }
    if (state == state_type::skipping) {
        const size_t skipped = size_t(std::min<uint64_t>(remaining, size));
        remaining -= skipped;
        data += skipped;
        size -= skipped;
        if (remaining == 0) {
            state = state_type::header;
        }
    }
    if (position == buffer.size()) {
        buffer.clear();
        position = 0;
    }
    buffer.append(data, size);
}

std::optional<frame_event> frame_parser::next() {
    switch (state) {
        case state_type::header:
            return take_header();
        case state_type::payload:
            return take_payload();
        case state_type::skipping:
        case state_type::broken:
            return std::nullopt;
    }
    return std::nullopt;
}

bool frame_parser::inside_frame() const {
    return state == state_type::payload || state == state_type::skipping || position < buffer.size();
}

std::optional<frame_event> frame_parser::take_header() {
    const std::string_view rest = std::string_view(buffer).substr(position);
    const auto             end  = rest.substr(0, frame_header_limit).find(header_end);
    if (end == std::string_view::npos) {
        if (rest.size() >= frame_header_limit) {
            return fail("header is longer than " + std::to_string(frame_header_limit) + " bytes");
        }
        return std::nullopt;
    }
    std::string why;
    const auto  length = read_header(rest.substr(0, end), why);
    if (!length) {
        return fail(why);
    }
    position += end + header_end.size();
    remaining = *length;
    if (*length > payload_limit) {
        const uint64_t here = std::min<uint64_t>(remaining, buffer.size() - position);
        position += size_t(here);
        remaining -= here;
        state = remaining == 0 ? state_type::header : state_type::skipping;
        return frame_event{ frame_event::kind_type::too_large,
                            "message of " + std::to_string(*length) + " bytes is over the limit of " +
                                std::to_string(payload_limit) + " bytes" };
    }
    state = state_type::payload;
    return take_payload();
}

std::optional<frame_event> frame_parser::take_payload() {
    if (buffer.size() - position < remaining) {
        return std::nullopt;
    }
    frame_event event{ frame_event::kind_type::payload, buffer.substr(position, size_t(remaining)) };
    position += size_t(remaining);
    remaining = 0;
    state     = state_type::header;
    buffer.erase(0, position);
    position = 0;
    return event;
}

frame_event frame_parser::fail(std::string why) {
    state = state_type::broken;
    buffer.clear();
    position = 0;
    return { frame_event::kind_type::broken, std::move(why) };
}

std::string frame_header(size_t payload_size) {
    return "Content-Length: " + std::to_string(payload_size) + "\r\n\r\n";
}

}  // namespace moebius
