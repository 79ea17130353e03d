#include "load-progress.h"

#include <algorithm>

namespace moebius {

bool load_progress::report(const char * stage, double fraction) {
    const auto now       = std::chrono::steady_clock::now();
    const bool new_stage = last_stage != stage;
    fraction             = std::clamp(fraction, last_fraction, 1.0);
    const bool moved     = fraction > last_fraction && now - last_time >= std::chrono::milliseconds(50);
    if (token && (new_stage || moved)) {
        request.out.notify_progress(*token, fraction, stage);
        last_stage    = stage;
        last_fraction = fraction;
        last_time     = now;
    }
    return !request.cancelled;
}

}  // namespace moebius
