#include "llama-log.h"

#include "rpc/log.h"

#include <ggml.h>
#include <llama.h>
#include <log.h>

namespace moebius {

namespace {

thread_local llama_log_scope * innermost = nullptr;
// llama.cpp may log a line in pieces (GGML_LOG_LEVEL_CONT goes on with the last level)
thread_local std::string       unfinished;
thread_local ggml_log_level    unfinished_level = GGML_LOG_LEVEL_INFO;

log_level level_of(int level) {
    switch (level) {
        case GGML_LOG_LEVEL_ERROR:
            return log_level::error;
        case GGML_LOG_LEVEL_WARN:
            return log_level::warn;
        case GGML_LOG_LEVEL_DEBUG:
            return log_level::debug;
        default:
            return log_level::info;
    }
}

}  // namespace

void llama_log_line(int level, const std::string & line) {
    log_level ours = level_of(level);
    if (innermost) {
        if (ours == log_level::error && innermost->error.empty()) {
            innermost->error = line;
        }
        if (innermost->quiet) {
            ours = log_level::debug;
        }
    }
    log_write(ours, line);
}

namespace {

void take_text(ggml_log_level level, const char * text, void *) {
    if (level != GGML_LOG_LEVEL_CONT) {
        unfinished_level = level;
    }
    unfinished += text;
    size_t end;
    while ((end = unfinished.find('\n')) != std::string::npos) {
        const std::string line = unfinished.substr(0, end);
        unfinished.erase(0, end + 1);
        if (!line.empty()) {
            llama_log_line(unfinished_level, line);
        }
    }
}

}  // namespace

void llama_log_install() {
    llama_log_set(take_text, nullptr);  // sets ggml's too
    common_log_set_jsonl(true);
    common_log_set_verbosity_thold(LOG_LEVEL_WARN);
}

llama_log_scope::llama_log_scope(bool quiet) : outer(innermost), quiet(quiet) {
    innermost = this;
}

llama_log_scope::~llama_log_scope() {
    innermost = outer;
}

std::string llama_log_scope::first_error(const std::string & fallback) const {
    if (error.empty()) {
        return fallback;
    }
    // "llama_model_load: error loading model: ..." -> "error loading model: ..."
    const auto colon = error.find(": ");
    const bool named = colon != std::string::npos && error.find(' ') > colon;
    return named ? error.substr(colon + 2) : error;
}

}  // namespace moebius
