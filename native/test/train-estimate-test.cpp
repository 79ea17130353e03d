// What a run is said to take against what it takes, where it is refused, and what its time goes by.
#include "check.h"
#include "model/backends.h"
#include "model/host.h"
#include "rpc/json-text.h"
#include "small-base.h"
#include "train/base/expert-tensors.h"
#include "train/estimate/methods.h"
#include "train/estimate/run-fit.h"
#include "train/estimate/run-time.h"
#include "train/run/run.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

using namespace moebius;
using namespace moebius_test;

namespace {

namespace fs = std::filesystem;

// Of the peak. What is estimated is exact but for the threads' and the C library's own memory, and pages that a buffer has and nothing touches.
constexpr double memory_tolerance = 0.15;

#if defined(__SANITIZE_ADDRESS__)
constexpr bool is_sanitized = true;  // its own memory is many times ours
#else
constexpr bool is_sanitized = false;
#endif

// The examples of the tests' dataset without its preferences, as both parts.
struct scratch_data {
    fs::path folder = fs::temp_directory_path() / ("moebius-estimate-" + std::to_string(std::random_device()()));

    scratch_data() {
        const fs::path from = fs::path(MOEBIUS_TEST_DATA) / "encoded";
        fs::create_directory(folder);
        for (const char * kind : { "examples", "index" }) {
            for (const char * part : { "train", "validation" }) {
                fs::copy_file(from / (std::string("validation.") + kind), folder / (std::string(part) + "." + kind));
            }
        }
        std::ifstream stream(from / "dataset.json");
        json          manifest     = json::parse(std::string{ std::istreambuf_iterator<char>(stream), {} });
        manifest["parts"]["train"] = manifest["parts"]["validation"];
        std::ofstream(folder / "dataset.json") << manifest.dump();
    }
    ~scratch_data() { fs::remove_all(folder); }
};

json settings_of(const std::string & model, const std::string & data, const char * optimiser = "adamw") {
    return { { "model", model },
             { "data", data },
             { "adapter", { { "attention", { { "loraRank", 8 } } }, { "experts", { { "loraRank", 8 } } } } },
             { "optimiser", { { "kind", optimiser } } },
             { "schedule", { { "steps", 3 } } },
             { "batchTokens", 4096 },
             { "threads", 1 } };
}

planned_batches batches_of(const run_outline & run) {
    dataset_file data(run.how.data, "train");
    return plan_batches(run.how, sizes_of(data), run.shape.vocabulary);
}

run_memory memory_of(const json & settings) {
    const run_outline run = outline_of(run_settings_of(settings));
    return estimate_run_memory(run, batches_of(run));
}

// "VmHWM:" or "VmRSS:" of this process, bytes.
uint64_t process_bytes(const std::string & which) {
    std::ifstream status("/proc/self/status");
    std::string   name, unit;
    uint64_t      value = 0;
    for (std::string line; std::getline(status, line);) {
        if (line.rfind(which, 0) == 0) {
            value = std::stoull(line.substr(which.size())) * 1024;
        }
    }
    return value;
}

// Bytes by which two steps make this process larger at most; 0: the system does not tell.
uint64_t measured_peak(const json & settings) {
    host_trim_memory();
    std::ofstream reset("/proc/self/clear_refs");
    reset << "5" << std::flush;  // the peak is what there is now
    if (!reset) {
        return 0;
    }
    const uint64_t before = process_bytes("VmRSS:");
    train_run      run(run_settings_of(settings));
    run.step([] { return true; });
    run.step([] { return true; });
    return process_bytes("VmHWM:") - before;
}

void check_peak(const char * name, const json & settings) {
    const run_memory estimate = memory_of(settings);
    const uint64_t   measured = is_sanitized ? 0 : measured_peak(settings);
    const uint64_t   said     = estimate.need() - estimate.devices.front().memory.saving;
    std::fprintf(stderr, "%s: said %.2f MB, measured %.2f MB: %s\n", name, double(said) / 1e6, double(measured) / 1e6, run_memory_to_json(estimate).dump().c_str());
    CHECK(estimate.devices.size() == 1 && !estimate.short_device());
    if (measured > 0) {
        CHECK(std::abs(double(said) / double(measured) - 1) < memory_tolerance);
    }
}

void memory_is_what_runs_take(const std::string & data) {
    check_peak("tiny model", settings_of(MOEBIUS_TINY_MODEL, data));
    small_base wide;  // experts are most of it
    wide.architecture = "qwen3moe";
    wide.n_embd       = 192;
    wide.n_ff         = 128;
    wide.layers       = 10;
    wide.experts      = 12;
    const std::string path     = write_small_base(wide);
    json              settings = settings_of(path, data, "adamw-8bit");
    check_peak("held experts", settings);
    const uint64_t layer           = expert_tensors_of(gguf_open(path), 0).bytes();
    settings["devices"]["experts"] = { { { "device", "CPU" }, { "bytes", 3 * layer + 4096 } } };  // one stays, two rooms
    check_peak("streamed experts", settings);
    const run_memory streamed = memory_of(settings);
    CHECK_EQUAL(streamed.devices.front().memory.experts, 3 * layer);
    CHECK_EQUAL(streamed.on_disk, 7 * layer);
    fs::remove(fs::u8path(path));
}

// Other router gradients, and as many experts of a token as are drawn at most.
void routers_are_counted(const std::string & data) {
    json settings                       = settings_of(MOEBIUS_TINY_MODEL, data);
    settings["adapter"]["wholeRouter"]  = true;
    const run_outline usual             = outline_of(run_settings_of(settings));
    const uint64_t    tokens            = batches_of(usual).largest.front().batch.tokens.size();
    const auto        split_of          = [](const json & of) { return memory_of(of).devices.front().memory; };
    const auto        before            = split_of(settings);
    json              drawn             = settings, averaged = settings, many = settings;
    drawn["routerGradient"]["kind"]     = "sparse-mixer";
    averaged["routerGradient"]["kind"]  = "default-moe";
    many["expertUsedCount"]             = { { "min", 1 }, { "max", 6 } };
    CHECK_EQUAL(split_of(drawn).layer_inputs - before.layer_inputs, uint64_t(usual.shape.layers) * tokens * (uint64_t(usual.shape.experts) * sizeof(float) + 1));
    const uint64_t averages = uint64_t(usual.shape.layers * usual.shape.experts * usual.shape.n_embd) * sizeof(float);
    const auto     with     = split_of(averaged);
    CHECK_EQUAL(with.adapter - before.adapter, averages);
    CHECK_EQUAL(with.guardian - before.guardian, averages);
    CHECK(with.gradients - before.gradients > 2 * averages);
    if (!is_sanitized) {  // part of it is what this process takes
        CHECK(with.compute > before.compute);
        CHECK(split_of(many).compute > before.compute + before.compute / 2);  // three times as many rows for experts
    }
    check_peak("sparse-mixer", drawn);
    averaged["expertUsedCount"] = { { "min", 4 }, { "max", 4 } };
    check_peak("default-moe, 4 experts a token", averaged);
    averaged["adapter"].erase("wholeRouter");
    CHECK_THROWS(memory_of(averaged), user_error, error.code == "request.invalid");  // no router to learn
}

void moments_are_what_optimisers_have(const std::string & data) {
    for (const char * kind : { "adamw", "adamw-8bit", "sgd" }) {
        const run_settings how     = run_settings_of(settings_of(MOEBIUS_TINY_MODEL, data, kind));
        const gguf_model   file    = gguf_open(how.model);
        const adapter      trained = new_adapter(file, how.adapter), outline = outlined_adapter(file, how.adapter);
        const optimiser    descent(how.optimiser, trained.parameters, usual_parameter_settings(trained));
        CHECK_EQUAL(moment_bytes(how.optimiser, outline.parameters), descent.bytes());
        CHECK_EQUAL(outline.tensors.size(), trained.tensors.size());
        CHECK(outline.parameters.front().values.empty() && outline.parameters.front().count() == int64_t(trained.parameters.front().values.size()));
    }
}

void what_has_no_room_is_refused(const std::string & data) {
    const run_settings how    = run_settings_of(settings_of(MOEBIUS_TINY_MODEL, data));
    run_memory         memory = memory_of(settings_of(MOEBIUS_TINY_MODEL, data));
    refuse_unless_fits(memory, how);
    run_device & cpu  = memory.devices.front();
    const auto   need = cpu.memory.sum();
    cpu.total = cpu.free = need - 1;
    CHECK_THROWS(refuse_unless_fits(memory, how), user_error,
                 error.code == "model.does-not-fit" && error.details.at("need") == need && error.details.at("have") == need - 1 && error.details.at("device") == "CPU" &&
                     std::string(error.what()).find("smaller loraRank") < std::string(error.what()).find("fewer tokens"));  // what takes most first
    cpu.total = 0;  // it does not tell
    refuse_unless_fits(memory, how);
}

void what_runs_beside_it_is_counted(const std::string & data) {
    json           settings  = settings_of(MOEBIUS_TINY_MODEL, data);
    const uint64_t unreserved = memory_of(settings).need(), free = memory_of(settings).devices.front().free;
    settings["devices"]["reservedBytes"] = 1 << 20;
    const run_memory memory              = memory_of(settings);
    CHECK_EQUAL(memory.devices.front().memory.reserved, uint64_t(1 << 20));
    CHECK(is_sanitized || memory.need() > unreserved + (1 << 19));
    settings["devices"]["reservedBytes"] = free + (uint64_t(1) << 40);
    CHECK_THROWS(refuse_run_unless_it_fits(run_settings_of(settings)), user_error,
                 error.code == "model.does-not-fit" && std::string(error.what()).find("Give it nothing beside it") != std::string::npos);
}

// A step's batches are all there at once.
void what_is_hopeless_is_not_measured(const std::string & data) {
    json settings           = settings_of(MOEBIUS_TINY_MODEL, data);
    settings["batchTokens"] = 1 << 19;
    run_outline run          = outline_of(run_settings_of(settings));
    run.how.batches_per_step = int64_t(1) << 24;  // more than may be asked for, and 100 TB of tokens
    const planned_batches batches = plan_batches(run.how, sizes_of({ { 1 << 19, 3 } }, 0.5, false), run.shape.vocabulary);
    const run_memory      memory  = estimate_run_memory(run, batches);
    CHECK(memory.is_least && memory.need() > (uint64_t(1) << 40));
    CHECK_EQUAL(memory.devices.front().memory.compute, uint64_t(0));
    CHECK_EQUAL(batches.tokens, double(1 << 19));
}

// Attention takes memory that grows with the tokens, not with their square.
void long_examples_are_measured(const std::string & data) {
    constexpr uint32_t tokens = 60000;
    json               settings = settings_of(MOEBIUS_TINY_MODEL, data);
    settings["batchTokens"]                = tokens;
    settings["devices"]["activationBytes"] = 0;
    const run_outline     run     = outline_of(run_settings_of(settings));
    const planned_batches batches = plan_batches(run.how, sizes_of({ { tokens, 3 } }, 0.5, false), run.shape.vocabulary);
    const run_memory      memory  = estimate_run_memory(run, batches);
    CHECK(!memory.is_least);
    CHECK(memory.devices.front().memory.compute > 0 && memory.need() < uint64_t(tokens) * tokens * sizeof(float));
}

void time_grows_with_tokens(const std::string & data) {
    double before = 0;
    for (const uint32_t tokens : { 64, 512 }) {
        json settings           = settings_of(MOEBIUS_TINY_MODEL, data);
        settings["batchTokens"] = tokens;
        const run_outline     run     = outline_of(run_settings_of(settings));
        const planned_batches batches = plan_batches(run.how, sizes_of({ { 32, 100 } }, 0.5, false), run.shape.vocabulary);
        const run_memory      memory  = estimate_run_memory(run, batches);
        const auto            time    = estimate_run_time(run, batches, memory, [] { return true; });
        CHECK_EQUAL(batches.tokens, double(tokens));
        CHECK_EQUAL(time->measured_tokens, int64_t(tokens));
        CHECK(time->step_seconds > before && time->measured_layers == 2);
        CHECK_NEAR(time->seconds, 3 * time->step_seconds, 1e-9);
        before = time->step_seconds;
        CHECK(!estimate_run_time(run, batches, memory, [] { return false; }));
    }
}

// Pairs, and examples of several lengths.
void batches_are_those_of_packing(const std::string & data) {
    json settings           = settings_of(MOEBIUS_TINY_MODEL, data);
    settings["batchTokens"] = 128;
    settings["objective"]   = "dpo";
    const run_settings    how     = run_settings_of(settings);
    const planned_batches batches = plan_batches(how, sizes_of({ { 16, 50 }, { 40, 10 } }, 0.5, true), 4096);
    CHECK(batches.tokens > 96 && batches.tokens <= 128);
    CHECK(batches.usual.pairs.size() * 2 == batches.usual.sequences.size() && !batches.usual.pairs.empty());
    const auto & longest = batches.largest.back().batch.lengths;
    CHECK(*std::max_element(longest.begin(), longest.end()) == 40);
    CHECK_THROWS(plan_batches(how, sizes_of({ { 65, 1 } }, 0.5, true), 4096), user_error, error.code == "request.invalid");
}

}  // namespace

int main() {
    host_return_freed_memory();
    backends_load();
    const scratch_data room;
    memory_is_what_runs_take(room.folder.u8string());
    routers_are_counted(room.folder.u8string());
    moments_are_what_optimisers_have(room.folder.u8string());
    what_has_no_room_is_refused(room.folder.u8string());
    what_runs_beside_it_is_counted(room.folder.u8string());
    what_is_hopeless_is_not_measured(room.folder.u8string());
    long_examples_are_measured(room.folder.u8string());
    time_grows_with_tokens(room.folder.u8string());
    batches_are_those_of_packing(room.folder.u8string());
    return check_result();
}
