// llama.cpp's, ggml's and libllama-common's logs into our log lines.
#pragma once

#include <string>

namespace moebius {

// Once, before any call of llama.cpp. Lines of libllama-common (warnings and errors only) keep its own JSON form:
// {"type":"log","level":"warn","msg":"..."}.
void llama_log_install();

// While alive: the error lines that llama.cpp logs on this thread are kept, for messages to the user, and the others
// become debug lines when `quiet`. Nest them as you like; each line goes to the innermost.
class llama_log_scope {
  public:
    explicit llama_log_scope(bool quiet = false);
    ~llama_log_scope();
    llama_log_scope(const llama_log_scope &)             = delete;
    llama_log_scope & operator=(const llama_log_scope &) = delete;

    // The first error line, which names the cause (later ones say what that made impossible), without the function's
    // name in front; `fallback` if there was none.
    std::string first_error(const std::string & fallback) const;

  private:
    friend void llama_log_line(int level, const std::string & line);

    llama_log_scope * outer;
    bool              quiet;
    std::string       error;
};

}  // namespace moebius
