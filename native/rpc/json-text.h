// JSON to text and back. In one place because each file that instantiates nlohmann's parser or serialiser itself takes
// several seconds longer to compile.
#pragma once

#include "errors.h"

#include <string>

namespace moebius {

// One line. Invalid UTF-8 (text out of a model or a file) is replaced by U+FFFD, so that the result is always valid JSON.
std::string json_text(const json & value);

// Throws json::exception.
json json_parse(const std::string & text);

}  // namespace moebius
