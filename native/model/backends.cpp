#include "backends.h"

#include "experts/backend/expert-device.h"
#include "llama-log.h"
#include "rpc/log.h"

#include <ggml-backend.h>
#include <llama.h>

#include <cstdlib>
#include <filesystem>
#include <set>

namespace moebius {

namespace fs = std::filesystem;

namespace {

#ifdef _WIN32
constexpr char        path_separator = ';';
constexpr const char *library_prefix = "ggml-";
constexpr const char *library_suffix = ".dll";
#elif defined(__APPLE__)
constexpr char        path_separator = ':';
constexpr const char *library_prefix = "libggml-";
constexpr const char *library_suffix = ".so";  // ggml's backends are bundles with this name on macOS too
#else
constexpr char        path_separator = ':';
constexpr const char *library_prefix = "libggml-";
constexpr const char *library_suffix = ".so";
#endif

std::vector<fs::path> backend_folders() {
    const char *          wanted = std::getenv("MOEBIUS_BACKEND_PATH");
    const std::string     list   = wanted && *wanted ? wanted : MOEBIUS_BACKEND_PATH_DEFAULT;
    std::vector<fs::path> folders;
    for (size_t from = 0; from <= list.size();) {
        const size_t to = std::min(list.find(path_separator, from), list.size());
        if (to > from) {
            folders.push_back(fs::u8path(list.substr(from, to - from)));
        }
        from = to + 1;
    }
    return folders;
}

// Backend libraries of a variant package: not the CPU ones (the same in every package), not ggml-base.
std::vector<fs::path> gpu_libraries(const fs::path & folder) {
    std::vector<fs::path> libraries;
    std::error_code       ignored;
    for (const auto & entry : fs::directory_iterator(folder, ignored)) {
        const std::string name   = entry.path().filename().u8string();
        const std::string prefix = library_prefix;
        const bool ours = name.compare(0, prefix.size(), prefix) == 0 && entry.path().extension() == library_suffix;
        const std::string kind = ours ? name.substr(prefix.size()) : "";
        if (ours && kind.compare(0, 3, "cpu") != 0 && kind.compare(0, 4, "base") != 0) {
            libraries.push_back(entry.path());
        }
    }
    std::sort(libraries.begin(), libraries.end());
    return libraries;
}

// Nothing when the backend is there and has a device, else why not.
std::string load_library(const fs::path & library) {
    const llama_log_scope log(true);
    ggml_backend_reg_t    backend = ggml_backend_load(library.u8string().c_str());
    if (!backend) {
        return log.first_error("not supported on this machine");
    }
    return ggml_backend_reg_dev_count(backend) > 0 ? "" : "found no device";
}

// "v0.5.0" (a release's tag) and "0.5.0-dev" (what its libraries say of themselves) are both 0.5.0.
std::string release_of(const std::string & version) {
    const size_t start = version.compare(0, 1, "v") == 0 ? 1 : 0;
    return version.substr(start, version.find('-') - start);
}

}  // namespace

backend_set backends_load() {
    backend_set           result;
    std::set<std::string> loaded;  // file names
    bool                  first = true;
    for (const fs::path & folder : backend_folders()) {
        if (first) {
            ggml_backend_load_all_from_path(folder.u8string().c_str());
        }
        for (const fs::path & library : gpu_libraries(folder)) {
            const std::string name = library.filename().u8string();
            if (first || loaded.count(name) > 0) {
                continue;  // load_all took the first folder's
            }
            const std::string problem = load_library(library);
            if (problem.empty()) {
                loaded.insert(name);
            } else {
                result.problems.push_back({ library.u8string(), problem });
                log_write(log_level::info, "backend " + library.u8string() + " is not used: " + problem);
            }
        }
        first = false;
    }
    llama_backend_init();
    for (size_t i = 0; i < ggml_backend_reg_count(); i++) {
        ggml_backend_reg_t backend = ggml_backend_reg_get(i);
        if (ggml_backend_reg_dev_count(backend) > 0) {
            result.names.push_back(ggml_backend_reg_name(backend));
        }
    }
    expert_device();  // ours; no backend of the user's
    return result;
}

std::string engine_version() {
    return MOEBIUS_VERSION;
}

std::string llama_library_version() {
    return llama_version();
}

void check_llama_version(const std::string & expected) {
    const std::string loaded = llama_library_version();
    const auto        refuse = [&](const std::string & wanted, const std::string & who) {
        throw user_error("engine.version",
                         "The engine runs on llama.cpp " + loaded + ", but " + who + " llama.cpp " + wanted +
                             ". Reinstall so that both come from one release.",
                         { { "loaded", loaded }, { "expected", wanted } });
    };
    if (release_of(loaded) != MOEBIUS_LLAMA_VERSION) {
        refuse(MOEBIUS_LLAMA_VERSION, "was built for");
    }
    if (release_of(loaded) != release_of(expected)) {
        refuse(expected, "the application expects");
    }
}

}  // namespace moebius
