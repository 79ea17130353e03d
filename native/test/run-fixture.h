// Runs on the small dataset of the tests.
#pragma once

#include "check.h"
#include "rpc/json-text.h"
#include "train/run/run.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <random>
#include <string>
#include <vector>

namespace moebius_test {

using namespace moebius;

namespace fs = std::filesystem;

inline const fs::path encoded = fs::path(MOEBIUS_TEST_DATA) / "encoded";

inline std::string bytes_of(const fs::path & path) {
    std::ifstream stream(path, std::ios::binary);
    return { std::istreambuf_iterator<char>(stream), {} };
}

inline void write_bytes(const fs::path & path, const std::string & bytes) {
    std::ofstream(path, std::ios::binary).write(bytes.data(), std::streamsize(bytes.size()));
}

// The small dataset of the tests without its preferences: its validation part, which has none, is trained on, too. Made once in a folder.
inline std::string small_dataset_in(const fs::path & folder) {
    const fs::path made = folder / "data";
    if (!fs::exists(made)) {
        fs::create_directory(made);
        for (const char * kind : { "examples", "index" }) {
            for (const char * part : { "train", "validation" }) {
                fs::copy_file(encoded / (std::string("validation.") + kind), made / (std::string(part) + "." + kind));
            }
        }
        json manifest              = json::parse(bytes_of(encoded / "dataset.json"));
        manifest["parts"]["train"] = manifest["parts"]["validation"];
        write_bytes(made / "dataset.json", manifest.dump());
    }
    return made.u8string();
}

// Folders and files of a test, gone at the end.
struct scratch {
    fs::path folder = fs::temp_directory_path() / ("moebius-run-" + std::to_string(std::random_device()()));

    scratch() { fs::create_directory(folder); }
    ~scratch() { fs::remove_all(folder); }

    std::string data() const {
        return small_dataset_in(folder);
    }
};

inline json settings_of(const std::string & data, const char * optimiser, int steps, int threads = 1) {
    return { { "model", MOEBIUS_TINY_MODEL },
             { "data", data },
             { "adapter", { { "attention", { { "loraRank", 4 } } }, { "experts", { { "loraRank", 4 }, { "rankStabilised", true }, { "dropout", 0.1 } } }, { "wholeRouter", true }, { "wholeNorms", true } } },
             { "optimiser", { { "kind", optimiser } } },
             { "schedule", { { "kind", "cosine" }, { "steps", steps }, { "learningRate", 3e-3 }, { "warmupSteps", 1 } } },
             { "routerLosses", { { "balance", 0.01 }, { "z", 0.001 } } },
             { "batchTokens", 64 },
             { "batchesPerStep", 2 },
             { "seed", 4 },
             { "threads", threads } };
}

inline const std::function<bool()> always = [] { return true; };

inline std::vector<double> steps_of(train_run & run, int count) {
    std::vector<double> losses;
    for (int i = 0; i < count; i++) {
        const auto report = run.step(always);
        losses.push_back(report->loss);
        CHECK(report->unmoved.empty());
        CHECK(report->verdict.action == guardian_action::go_on);
    }
    return losses;
}

inline bool same_values(const train_run & a, const train_run & b) {
    return std::equal(a.trained().parameters.begin(), a.trained().parameters.end(), b.trained().parameters.begin(), b.trained().parameters.end(),
                      [](const train_parameter & x, const train_parameter & y) { return x.name == y.name && x.values == y.values; });
}

}  // namespace moebius_test
