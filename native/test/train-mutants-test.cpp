// 300 seeded mutants each of base models and of a checkpoint: a run is opened on each, makes a step and is asked for its state. Each has to end in an answer or a clear error; this process
// (with sanitizers in the sanitizer build) has to survive all of them. Another range of seeds: train-mutants-test FIRST COUNT.
#include "check.h"
#include "gguf-mutants.h"
#include "model/backends.h"
#include "model/llama-log.h"
#include "run-fixture.h"
#include "small-base.h"
#include "train/run/checkpoint.h"

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

using namespace moebius;
using namespace moebius_test;

namespace {

// What a person with a damaged file may be told; `internal` is not among it.
const std::set<std::string> clear_codes = {
    "file.not-gguf", "file.version", "file.truncated", "file.corrupt", "file.split-incomplete", "file.unreadable", "file.not-found", "model.unsupported", "model.does-not-fit", "request.invalid",
};

constexpr double seconds_each = 5;

json settings_of(const std::string & model, const std::string & data, bool has_shared) {
    const json lora = { { "loraRank", 2 } };
    json       made = { { "model", model },
             { "data", data },
             { "adapter", { { "attention", lora }, { "experts", lora }, { "router", lora }, { "wholeNorms", true } } },
             { "optimiser", { { "kind", "adamw" } } },
             { "schedule", { { "kind", "constant" }, { "steps", 4 }, { "learningRate", 1e-3 } } },
             { "routerLosses", { { "balance", 0.01 } } },
             { "batchTokens", 64 },
             { "seed", 4 },
             { "threads", 1 } };
    if (has_shared) {
        made["adapter"]["shared"] = lora;
    }
    return made;
}

// "ran", or the code of the error that ended it.
std::string result_of(const std::string & label, const std::function<void()> & what) {
    const auto  start  = std::chrono::steady_clock::now();
    std::string result = "ran";
    try {
        what();
    } catch (const user_error & error) {
        result = error.code;
        report(clear_codes.count(error.code) > 0 && std::string(error.what()).size() > 15, __FILE__, __LINE__, label + ": " + error.code + ": " + error.what());
    }
    const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    report(took < seconds_each, __FILE__, __LINE__, label + " took " + std::to_string(took) + " s");
    return result;
}

void print(const char * what, const std::map<std::string, int> & results) {
    for (const auto & [result, times] : results) {
        std::fprintf(stderr, "%s: %5d %s\n", what, times, result.c_str());
    }
}

void bases(const scratch_folder & folder, const std::string & data, uint64_t first, uint64_t count) {
    std::map<std::string, int> results;
    const size_t               kinds = small_bases().size();
    for (size_t kind = 0; kind < kinds; kind++) {
        const std::string original = write_small_base(small_bases()[kind]), path = folder.path("mutant.gguf");
        mutant_maker      maker(original);
        fs::remove(path);
        for (uint64_t seed = first + (kinds + kind - first % kinds) % kinds; seed < first + count; seed += kinds) {
            const mutant damaged = maker.make(seed);
            maker.write(damaged, path);
            const std::string label = "base, seed " + std::to_string(seed) + " (" + small_bases()[kind].name + ", " + damaged.kind + ")";
            std::fprintf(stderr, "%s\n", label.c_str());
            ++results[result_of(label, [&] {
                train_run run(run_settings_of(settings_of(path, data, small_bases()[kind].has_shared)));
                run.step([] { return true; });
                run.state();
            })];
        }
        fs::remove(fs::u8path(original));
    }
    print("bases", results);
    CHECK(results["ran"] > int(count / 10));           // the mutants are not all refused at the door
    CHECK(results["file.corrupt"] > int(count / 10));  // nor all harmless
}

// Bits, bytes, numbers and lengths.
std::string damaged(std::string bytes, uint64_t seed) {
    std::mt19937_64 random(seed);
    const auto      place = [&] { return size_t(random() % (random() % 2 == 0 ? std::min<size_t>(bytes.size(), 512) : bytes.size())); };
    for (uint64_t i = random() % 3; i < 3; i++) {
        switch (random() % 4) {
            case 0: bytes[place()] ^= char(1 << random() % 8); break;
            case 1: bytes[place()] = char(random()); break;
            case 2: bytes.resize(place() + 1); break;
            default: {
                const uint64_t number = random() % 2 == 0 ? ~uint64_t(0) >> random() % 40 : random() % 9;
                std::memcpy(&bytes[std::min(place(), bytes.size() - std::min<size_t>(bytes.size(), 8))], &number, std::min<size_t>(bytes.size(), 8));
            }
        }
    }
    return bytes;
}

// A sound file of a state that no run can have had.
checkpoint contradictory(checkpoint what, uint64_t seed) {
    std::mt19937_64   random(seed);
    run_state &       state     = what.state;
    const auto        number    = [&] { return random() % 2 == 0 ? int64_t(random()) >> random() % 64 : int64_t(random() % 9) - 4; };
    train_parameter & parameter = state.parameters[random() % state.parameters.size()];
    parameter_state & moments   = state.optimiser.parameters[random() % state.optimiser.parameters.size()];
    switch (random() % 12) {
        case 0: state.step = number(); break;
        case 1: state.cursor = { uint64_t(number()), uint64_t(number()), { uint64_t(number()) } }; break;
        case 2: state.guardian.good = number(); break;
        case 3: state.guardian.losses.push_back(double(number())); break;
        case 4: state.optimiser.steps = number(); break;
        case 5: state.optimiser.kind = random() % 2 == 0 ? optimiser_kind::sgd : optimiser_kind::adamw_8bit; break;
        case 6: moments.first.values.resize(random() % 99); break;
        case 7: moments.name += "x"; break;
        case 8: state.parameters.pop_back(); break;
        case 9: parameter.n1 = number(); break;
        case 10: parameter.values.resize(random() % 99); break;
        default: parameter.values[random() % parameter.values.size()] = random() % 2 == 0 ? NAN : INFINITY;
    }
    return what;
}

void checkpoints(const scratch_folder & folder, const std::string & data, uint64_t first, uint64_t count) {
    const std::string base = write_small_base(small_bases()[0]), path = folder.path("checkpoint"), mutated = folder.path("mutant.checkpoint");
    const json        settings = settings_of(base, data, false);
    train_run         run(run_settings_of(settings));
    run.step([] { return true; });
    const checkpoint sound{ settings, run.state() };
    checkpoint_write(sound, path);
    const std::string          original = bytes_of(path);
    std::map<std::string, int> results;
    for (uint64_t seed = first; seed < first + count; seed++) {
        const bool        is_sealed = seed % 2 == 0;
        const std::string label     = std::string(is_sealed ? "contradictory" : "damaged") + " checkpoint, seed " + std::to_string(seed);
        if (is_sealed) {
            checkpoint_write(contradictory(sound, seed), mutated);
        } else {
            std::ofstream(mutated, std::ios::binary) << damaged(original, seed);
        }
        std::fprintf(stderr, "%s\n", label.c_str());
        const std::string result = result_of(label, [&] {
            run.restore(checkpoint_read(mutated).state);
            run.step([] { return true; });
        });
        report(result != "ran" || is_sealed || bytes_of(mutated) == original, __FILE__, __LINE__, label + " is taken for whole");
        ++results[result];
    }
    print("checkpoints", results);
    CHECK(results["ran"] > 0);
    fs::remove(fs::u8path(base));
}

}  // namespace

int main(int argument_count, char ** arguments) {
    const uint64_t first = argument_count > 1 ? std::strtoull(arguments[1], nullptr, 10) : 0;
    const uint64_t count = argument_count > 2 ? std::strtoull(arguments[2], nullptr, 10) : 300;
    llama_log_install();
    backends_load();
    const scratch_folder folder("moebius-train-mutants");
    const std::string    data = small_dataset_in(fs::path(folder.path("data")).parent_path());
    bases(folder, data, first, count);
    checkpoints(folder, data, first, count);
    return check_result();
}
