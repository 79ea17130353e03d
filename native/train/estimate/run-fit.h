// Whether a run has the memory that it needs, told to whoever asks.
#pragma once

#include "run-memory.h"

namespace moebius {

// Throws user_error model.does-not-fit when a device is too small.
void refuse_unless_fits(const run_memory & memory, const run_settings & how);

json run_memory_to_json(const run_memory & memory);

}  // namespace moebius
