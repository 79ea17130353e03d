#include "json-text.h"

namespace moebius {

std::string json_text(const json & value) {
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

json json_parse(const std::string & text) {
    return json::parse(text);
}

}  // namespace moebius
