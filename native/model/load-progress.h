// `$/progress` of one model.load: at most 20 a second, never backwards, and the place where a cancel is noticed.
#pragma once

#include "rpc/dispatcher.h"

#include <chrono>
#include <optional>
#include <string>

namespace moebius {

class load_progress {
  public:
    // Without a token nothing is sent, but cancels still work.
    load_progress(call & request, std::optional<std::string> token) : request(request), token(std::move(token)) {}

    // `fraction` of the whole load, 0..1. A new stage is always sent. false: cancelled, stop.
    bool report(const char * stage, double fraction);

    void throw_if_cancelled() const { request.throw_if_cancelled(); }

  private:
    call &                                request;
    std::optional<std::string>            token;
    std::string                           last_stage;
    double                                last_fraction = 0;
    std::chrono::steady_clock::time_point last_time;
};

}  // namespace moebius
