// The way out of the process. Thread-safe; never blocks on the reader of stdout (a writer thread owns the descriptor).
#pragma once

#include "errors.h"

#include <cstdint>
#include <string>
#include <vector>

namespace moebius {

class output {
  public:
    virtual ~output() = default;

    virtual void send_message(const json & message)              = 0;  // one JSON-RPC message
    virtual void send_frame(std::vector<uint8_t> && frame)       = 0;  // one binary frame, header included
    // In this order, and so that the client wakes up once for all of them.
    virtual void send_frames(std::vector<std::vector<uint8_t>> && frames);

    void notify_progress(const std::string & token, double fraction, const char * stage);
    void reply(const json & id, json result);
    void fail(const json & id, const user_error & error);
};

}  // namespace moebius
