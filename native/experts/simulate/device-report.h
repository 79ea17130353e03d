// `experts.replayDevices`: loads of experts on a described rig, as JSON (main/engine/device-replay-protocol.ts describes both sides).
#pragma once

#include "rpc/errors.h"

#include <functional>

namespace moebius {

// `check` is called often and throws to stop. Throws request.invalid and what trace_read throws.
json device_report(const json & params, const std::function<void()> & check);

}  // namespace moebius
