// Log lines on stderr, one JSON object each: {"level":"info","text":"..."}. Thread-safe; one write() per line.
#pragma once

#include <string>

namespace moebius {

enum class log_level { debug, info, warn, error };

// Lines below this level are dropped; default info, or what MOEBIUS_LOG_LEVEL names (debug, info, warn, error).
log_level log_minimum();

// `text` without a line end; invalid UTF-8 is replaced.
void log_write(log_level level, const std::string & text);

}  // namespace moebius
