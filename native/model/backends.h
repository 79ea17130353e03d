// Which ggml backends and llama.cpp libraries this process runs on.
#pragma once

#include "rpc/errors.h"

#include <string>
#include <vector>

namespace moebius {

struct backend_problem {
    std::string library;  // path
    std::string reason;
};

struct backend_set {
    std::vector<std::string>     names;     // ggml's: CPU, CUDA, Vulkan, Metal ... that have a device
    std::vector<backend_problem> problems;  // found, but not used
};

// Once, before anything else of llama.cpp. Loads every backend library of the folders that MOEBIUS_BACKEND_PATH lists
// (: between them, ; on Windows; the first is the CPU package), or of the packages known when the engine was built.
// A GPU backend that does not load or finds no device is a problem, not an error. A backend is loaded once: a later
// folder is only tried where an earlier one's library of the same name failed.
backend_set backends_load();

std::string engine_version();
std::string llama_library_version();  // of the loaded library

// Throws engine.version unless the library is of the release whose headers this program was built with and that the client
// expects ("0.5.0"; a leading v and a suffix like "-dev" do not count).
void check_llama_version(const std::string & expected);

}  // namespace moebius
