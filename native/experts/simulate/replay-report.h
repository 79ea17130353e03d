// `experts.replay`: a recorded trace through cache policies, as JSON (main/engine/protocol.ts describes both sides).
#pragma once

#include "rpc/errors.h"

#include <functional>

namespace moebius {

// `check` is called often and throws to stop. Throws request.invalid and what trace_read throws.
json replay_report(const json & params, const std::function<void()> & check);

}  // namespace moebius
