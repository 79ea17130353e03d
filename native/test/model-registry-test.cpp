// Loading and unloading: progress, cancel, several models, use after unload, bad files.
#include "check.h"
#include "model/backends.h"
#include "model/layout-method.h"
#include "model/llama-log.h"
#include "model/registry.h"
#include "model/tokenise.h"
#include "recorded-output.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

using namespace moebius;
using moebius_test::recorded_output;

namespace {

const json small = { { "devices", json::array() }, { "threads", 1 }, { "contextLength", 128 }, { "sequences", 2 } };

struct fixture {
    recorded_output out;
    model_registry  registry{ out };

    json load(const std::string & path = MOEBIUS_TINY_MODEL, std::optional<std::string> token = std::nullopt) {
        call request(1, out);
        return registry.load(request, path, &small, std::move(token));
    }
};

void progress_goes_forward_through_the_stages() {
    fixture f;
    f.load(MOEBIUS_TINY_MODEL, "bar");
    double                   fraction = 0;
    std::vector<std::string> stages;
    for (const json & message : f.out.all()) {
        CHECK_EQUAL(message["method"], "$/progress");
        const json & params = message["params"];
        CHECK_EQUAL(params["token"], "bar");
        CHECK(params["fraction"] >= fraction && params["fraction"] <= 1.0);
        fraction = params["fraction"];
        if (stages.empty() || stages.back() != params["stage"]) {
            stages.push_back(params["stage"]);
        }
    }
    CHECK(stages == std::vector<std::string>({ "validate", "weights", "context", "warmup" }));
    CHECK_EQUAL(fraction, 1.0);
}

void a_cancelled_load_leaves_nothing() {
    fixture f;
    call    request(1, f.out);
    request.cancelled = true;
    CHECK_THROWS(f.registry.load(request, MOEBIUS_TINY_MODEL, &small, std::nullopt), user_error, error.code == "cancelled");
    CHECK_EQUAL(f.registry.list()["models"].size(), 0u);
    CHECK_EQUAL(f.load()["model"], 1);  // and the next one works
}

void a_layout_file_in_the_background_waits_for_whoever_is_waited_for() {
    const auto folder = std::filesystem::temp_directory_path() / "moebius-model-registry-test";
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    const auto model = folder / "model.gguf", layout = folder / "model.gguf.layout";
    std::filesystem::copy_file(MOEBIUS_TINY_MODEL, model);
    const auto write = [&](fixture & f, call & request, bool background) {
        return write_layout(request, { { "path", model.u8string() }, { "background", background }, { "progressToken", "bar" } }, f.registry);
    };
    fixture f;
    {
        const model_registry::errand measuring(f.registry);
        CHECK(!f.registry.idle());
        call        request(1, f.out);
        std::thread later([&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(300));
            request.cancelled = true;
        });
        CHECK_THROWS(write(f, request, true), user_error, error.code == "cancelled");
        later.join();
        CHECK_EQUAL(f.out.all().back()["params"]["stage"], "paused");
        CHECK(!std::filesystem::exists(layout));
        CHECK_EQUAL(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
        call other(2, f.out);
        CHECK(write(f, other, false)["bytes"] > 0);  // what somebody asked for does not wait
        std::filesystem::remove(layout);
    }
    CHECK(f.registry.idle());
    call       request(3, f.out);
    const json written = write(f, request, true);
    CHECK_EQUAL(written["bytes"], std::filesystem::file_size(layout));
    std::filesystem::remove_all(folder);
}

void a_cancel_while_weights_are_read_is_noticed() {
    // cancels at the first "weights" progress
    struct cancelling : recorded_output {
        call * request = nullptr;
        void   send_message(const json & message) override {
            recorded_output::send_message(message);
            request->cancelled = message["params"]["stage"] == "weights";
        }
    } out;
    model_registry registry(out);
    call           request(1, out);
    out.request = &request;
    CHECK_THROWS(registry.load(request, MOEBIUS_TINY_MODEL, &small, "x"), user_error, error.code == "cancelled");
    CHECK_EQUAL(registry.list()["models"].size(), 0u);
}

void several_models_live_side_by_side() {
    fixture     f;
    json        loaded[2];
    std::thread other([&] { loaded[0] = f.load(); });
    loaded[1] = f.load();
    other.join();
    CHECK(loaded[0]["model"] != loaded[1]["model"]);
    CHECK_EQUAL(f.registry.list()["models"].size(), 2u);
    for (int id = 1; id <= 2; id++) {
        f.registry.lease(id)->engine->generate(id, { { "generation", id }, { "model", id }, { "prompt", "Once upon" }, { "maxTokens", 4 } });
    }
    CHECK(f.out.response(1).contains("result") && f.out.response(2).contains("result"));
    f.registry.unload(1);
    CHECK_THROWS(f.registry.lease(1), user_error, error.code == "model.not-loaded");
    CHECK_THROWS(f.registry.unload(1), user_error, error.code == "model.not-loaded");
    f.registry.lease(2)->engine->generate(3, { { "generation", 3 }, { "model", 2 }, { "prompt", "Once upon" }, { "maxTokens", 4 } });
    CHECK(f.out.response(3).contains("result"));
    CHECK_EQUAL(f.load()["model"], 3);  // handles are not used twice
}

void unload_ends_what_is_running() {
    fixture f;
    f.load();
    f.registry.lease(1)->engine->generate(
        5, { { "generation", 1 }, { "model", 1 }, { "prompt", "Once" }, { "ignoreEndOfGeneration", true }, { "overflow", "shift" } });
    CHECK_EQUAL(f.registry.running(), 1);
    f.registry.unload(1);
    CHECK_EQUAL(f.registry.running(), 0);
    CHECK_EQUAL(f.out.response(5)["result"]["finishReason"], "cancelled");
}

void cancel_finds_the_generation() {
    fixture f;
    f.load();
    f.load();
    f.registry.lease(2)->engine->generate(
        "g", { { "generation", 1 }, { "model", 2 }, { "prompt", "Once" }, { "ignoreEndOfGeneration", true }, { "overflow", "shift" } });
    f.registry.cancel("other");
    f.registry.cancel("g");
    CHECK_EQUAL(f.out.response("g")["result"]["finishReason"], "cancelled");
}

void text_survives_the_way_through_tokens() {
    fixture f;
    f.load();
    const llama_vocab * vocabulary = llama_model_get_vocab(f.registry.lease(1)->model.get());
    for (const std::string text : { "Once upon a time", "", "na\xC3\xAFve \xE2\x82\xAC \xF0\x9F\x98\x80\n\tx  y", "<|im_start|>user" }) {
        const auto tokens = tokenise(vocabulary, text, false, false);
        CHECK_EQUAL(detokenise(vocabulary, tokens), text);
    }
    CHECK(tokenise(vocabulary, std::string(100000, 'a'), false, false).size() > 100);
    CHECK_THROWS(detokenise(vocabulary, { 1 << 30 }), user_error, error.code == "request.invalid");
    CHECK_THROWS(detokenise(vocabulary, { -1 }), user_error, error.code == "request.invalid");
}

void a_vocabulary_alone_encodes_as_the_whole_model_does() {
    fixture    f;
    call       request(1, f.out);
    const json only   = { { "vocabularyOnly", true } };
    const json whole  = f.load();
    const json loaded = f.registry.load(request, MOEBIUS_TINY_MODEL, &only, std::nullopt);
    CHECK_EQUAL(loaded["model"], 2);
    CHECK_EQUAL(loaded["inspection"], whole["inspection"]);
    CHECK_EQUAL(loaded["memory"], json::array());
    const json chat     = { { "messages", json::array({ { { "role", "user" }, { "content", "What is a dwarf? <|im_end|>" } }, { { "role", "assistant" }, { "content", "na\xC3\xAFve" } } }) } };
    const json examples = json::array({ { { "text", "Once <|im_start|> upon" } }, { { "chat", chat }, { "replies", json::array({ 1 }) } }, { { "chat", chat } }, json::object() });
    const json encoded  = f.registry.lease_texts(2)->texts->encode_examples(examples, true);
    CHECK(encoded["examples"][1]["supervisedCount"] > 1);
    CHECK_EQUAL(encoded, f.registry.lease_texts(1)->texts->encode_examples(examples, true));
    CHECK_EQUAL(f.registry.lease_texts(2)->texts->render_chat(chat), f.registry.lease_texts(1)->texts->render_chat(chat));
    CHECK_THROWS(f.registry.lease(2), user_error, error.code == "request.invalid" && std::string(error.what()).find("vocabularyOnly") != std::string::npos);
    CHECK_EQUAL(f.registry.running(), 0);
    f.registry.cancel("nothing");
    f.registry.unload(2);
    CHECK_THROWS(f.registry.lease_texts(2), user_error, error.code == "model.not-loaded");
}

void a_vocabulary_alone_is_asked_for_alone() {
    fixture    f;
    call       request(1, f.out);
    const json both = { { "vocabularyOnly", true }, { "contextLength", 128 } };
    CHECK_THROWS(f.registry.load(request, MOEBIUS_TINY_MODEL, &both, std::nullopt), user_error, error.code == "request.invalid");
    const json no_boolean = { { "vocabularyOnly", 1 } };
    CHECK_THROWS(f.registry.load(request, MOEBIUS_TINY_MODEL, &no_boolean, std::nullopt), user_error, error.code == "request.invalid");
    request.cancelled = true;
    const json only   = { { "vocabularyOnly", true } };
    CHECK_THROWS(f.registry.load(request, MOEBIUS_TINY_MODEL, &only, std::nullopt), user_error, error.code == "cancelled");
    CHECK_EQUAL(f.registry.list()["models"].size(), 0u);
}

void files_that_llama_does_not_take_give_its_reason() {
    fixture f;
    CHECK_THROWS(f.load("/nonexistent/model.gguf"), user_error, error.code == "file.not-found");
    // the architecture's name is replaced by another of the same length that llama.cpp does not know
    std::ifstream source(MOEBIUS_TINY_MODEL, std::ios::binary);
    std::string   bytes((std::istreambuf_iterator<char>(source)), std::istreambuf_iterator<char>());
    for (size_t at = 0; (at = bytes.find("qwen3moe", at)) != std::string::npos; at++) {
        bytes.replace(at, 8, "qwen9moe");
    }
    const std::string path = (std::filesystem::temp_directory_path() / ("moebius-unknown-" + std::to_string(getpid()) + ".gguf")).string();
    std::ofstream(path, std::ios::binary) << bytes;
    CHECK_THROWS(f.load(path), user_error,
                 error.code == "model.unsupported" && std::string(error.what()).find("qwen9moe") != std::string::npos);
    std::filesystem::remove(path);
}

}  // namespace

int main() {
    llama_log_install();
    backends_load();
    progress_goes_forward_through_the_stages();
    a_cancelled_load_leaves_nothing();
    a_layout_file_in_the_background_waits_for_whoever_is_waited_for();
    a_cancel_while_weights_are_read_is_noticed();
    several_models_live_side_by_side();
    unload_ends_what_is_running();
    cancel_finds_the_generation();
    text_survives_the_way_through_tokens();
    a_vocabulary_alone_encodes_as_the_whole_model_does();
    a_vocabulary_alone_is_asked_for_alone();
    files_that_llama_does_not_take_give_its_reason();
    return moebius_test::check_result();
}
