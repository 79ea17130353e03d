// 500 seeded mutants of the shipped model through everything the engine does with a file: validate, inspect, estimate, load,
// render a chat, generate 4 tokens, unload. Each has to end in an answer or a clear error, and soon; this process (with
// sanitizers in the sanitizer build) has to survive all of them. Another range of seeds: gguf-mutants-test FIRST COUNT.
#include "check.h"
#include "gguf-mutants.h"
#include "model/backends.h"
#include "model/llama-log.h"
#include "model/methods.h"
#include "recorded-output.h"

#include <chrono>
#include <cstdlib>
#include <map>
#include <set>

using namespace moebius;
using namespace moebius_test;

// what a person with a damaged file may be told; `internal` is not among it
static const std::set<std::string> clear_codes = {
    "file.not-gguf", "file.version",      "file.truncated",     "file.corrupt",    "file.split-incomplete", "model.unsupported",
    "model.load-failed", "model.does-not-fit", "template.failed", "decode.failed", "prompt.empty",          "request.invalid",
};

constexpr double SECONDS_EACH = 5;

class engine_in_process {
  public:
    engine_in_process() : backends_(backends_load()), registry_(out_), methods_(out_) {
        add_methods(methods_, registry_, backends_);
        ask("initialize", { { "protocolVersion", 1 }, { "expectedLlamaVersion", llama_library_version() } });
    }
    ~engine_in_process() { methods_.stop(); }

    // the whole response
    json ask(const std::string & method, const json & params) {
        const int id = ++last_id_;
        methods_.handle(json{ { "jsonrpc", "2.0" }, { "id", id }, { "method", method }, { "params", params } }.dump());
        return out_.response(id);
    }

  private:
    recorded_output   out_;
    const backend_set backends_;
    model_registry    registry_;
    dispatcher        methods_;
    int               last_id_ = 0;
};

class mutant_run {
  public:
    mutant_run(engine_in_process & engine, uint64_t seed, const std::string & kind, const std::string & path)
        : engine_(engine), label_("seed " + std::to_string(seed) + " (" + kind + ")"), path_(path) {}

    // "loaded", or the code of the error that ended it
    std::string run() {
        const auto        start  = std::chrono::steady_clock::now();
        const std::string result = steps();
        const double      took   = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        report(took < SECONDS_EACH, __FILE__, __LINE__, label_ + " took " + std::to_string(took) + " s");
        return result;
    }

  private:
    // null when it failed, which must be with a clear error
    json answer(const std::string & method, const json & params) {
        const json response = engine_.ask(method, params);
        if (response.contains("result")) {
            return response["result"];
        }
        const json        error = response.value("error", json::object());
        const std::string code  = error.value("data", json::object()).value("code", "no answer");
        const std::string text  = error.value("message", "");
        report(clear_codes.count(code) > 0 && text.size() > 15, __FILE__, __LINE__, label_ + " " + method + ": " + code + ": " + text);
        failure_ = code;
        return nullptr;
    }

    std::string steps() {
        const json options = { { "contextLength", 64 }, { "sequences", 1 }, { "batch", 32 }, { "threads", 1 }, { "threadsBatch", 1 } };
        if (answer("model.inspect", { { "path", path_ } }).is_null() ||
            answer("model.estimate", { { "path", path_ }, { "options", options } }).is_null()) {
            return failure_;
        }
        const json loaded = answer("model.load", { { "path", path_ }, { "options", options } });
        if (loaded.is_null()) {
            return failure_;
        }
        const json model = loaded["model"];
        const json chat  = { { "messages", json::array({ { { "role", "user" }, { "content", "What is a dwarf?" } } }) } };
        answer("chat.render", { { "model", model }, { "chat", chat } });
        json generate = { { "generation", 1 }, { "model", model }, { "prompt", "In the beginning" }, { "maxTokens", 4 },
                          { "ignoreEndOfGeneration", true }, { "routes", true }, { "sampling", { { "temperature", 0 } } } };
        const json result = answer("generate", generate);
        report(result.is_null() || result["tokens"] == 4, __FILE__, __LINE__, label_ + " generated " + result.dump());
        generate["sampling"] = { { "temperature", 1 }, { "seed", 1 } };
        answer("generate", generate);
        report(!answer("model.unload", { { "model", model } }).is_null(), __FILE__, __LINE__, label_ + " does not unload");
        return failure_.empty() ? "loaded" : "loaded, then " + failure_;
    }

    engine_in_process & engine_;
    std::string         label_, path_, failure_;
};

int main(int argument_count, char ** arguments) {
    const uint64_t first = argument_count > 1 ? std::strtoull(arguments[1], nullptr, 10) : 0;
    const uint64_t count = argument_count > 2 ? std::strtoull(arguments[2], nullptr, 10) : 500;
    llama_log_install();
    const scratch_folder       folder("moebius-mutants");
    const std::string          path = folder.path("mutant.gguf");
    mutant_maker               maker(MOEBIUS_TINY_MODEL);
    engine_in_process          engine;
    std::map<std::string, int> results;
    for (uint64_t seed = first; seed < first + count; ++seed) {
        const mutant damaged = maker.make(seed);
        maker.write(damaged, path);
        std::fprintf(stderr, "mutant %llu: %s\n", static_cast<unsigned long long>(seed), damaged.kind.c_str());
        ++results[mutant_run(engine, seed, damaged.kind, path).run()];
    }
    for (const auto & [result, times] : results) {
        std::printf("%5d %s\n", times, result.c_str());
    }
    CHECK(results["loaded"] > int(count / 10));        // the mutants are not all refused at the door
    CHECK(results["file.corrupt"] > int(count / 10));  // nor all harmless
    return check_result();
}
