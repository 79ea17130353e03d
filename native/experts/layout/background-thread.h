// Work that gives way to everything else.
#pragma once

#include <functional>

namespace moebius {

// Runs `work` on a thread of its own, whose use of CPU and disk is of the lowest priority that the system has, and waits for its end.
// Throws what `work` throws.
void run_in_background(const std::function<void()> & work);

}  // namespace moebius
