// Reads model files into the page cache, in steps. llama.cpp maps a file in one call that reads it whole (MAP_POPULATE)
// and can neither be watched nor cancelled; after this that call finds everything in RAM.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace moebius {

// Reads `bytes` at `offset`. `progress` gets those of them that are in RAM now; false from it stops. Gives false when it was stopped.
// Does nothing where the system has no such call (Linux before 5.14, macOS, Windows): the load works without.
bool prefetch_file(const std::string & path, uint64_t offset, uint64_t bytes, const std::function<bool(uint64_t)> & progress);

}  // namespace moebius
