#include "log.h"

#include "json-text.h"
#include "pipes.h"

#include <cstdlib>
#include <mutex>

namespace moebius {

namespace {

constexpr const char * level_names[] = { "debug", "info", "warn", "error" };

log_level read_minimum() {
    const char * wanted = std::getenv("MOEBIUS_LOG_LEVEL");
    for (int i = 0; wanted && i < 4; i++) {
        if (std::string(wanted) == level_names[i]) {
            return log_level(i);
        }
    }
    return log_level::info;
}

}  // namespace

log_level log_minimum() {
    static const log_level minimum = read_minimum();
    return minimum;
}

void log_write(log_level level, const std::string & text) {
    if (level < log_minimum()) {
        return;
    }
    const json line = { { "level", level_names[int(level)] }, { "text", text } };
    const std::string bytes = json_text(line) + "\n";
    static std::mutex mutex;
    const std::lock_guard<std::mutex> lock(mutex);
    pipe_write(2, bytes.data(), bytes.size());  // a lost log line is nobody's failure
}

}  // namespace moebius
