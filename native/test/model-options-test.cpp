// Load options: defaults, limits, refusals.
#include "check.h"
#include "model/backends.h"
#include "model/devices.h"
#include "model/host.h"
#include "model/llama-log.h"
#include "model/options.h"

using namespace moebius;

static json inspection(int64_t context_length) {
    return { { "contextLength", context_length }, { "layerCount", 48 }, { "moeLayers", { 1, 2, 3 } } };
}

static load_options parse(const json & options, int64_t context_length = 40960) {
    return options_parse(&options, inspection(context_length));
}

static bool refuses(const user_error & error, const std::string & text) {
    return error.code == "request.invalid" && std::string(error.what()).find(text) != std::string::npos;
}

static void defaults_follow_model_and_machine() {
    const load_options options = options_parse(nullptr, inspection(40960));
    CHECK_EQUAL(options.context_length, 8192u);
    CHECK_EQUAL(parse(json::object(), 512).context_length, 512u);
    CHECK_EQUAL(parse(json::object(), 0).context_length, 8192u);
    CHECK_EQUAL(options.sequences, 4u);
    CHECK_EQUAL(options.batch, 512u);
    CHECK_EQUAL(options.threads, host_physical_cores());
    CHECK_EQUAL(options.threads_batch, options.threads);
    CHECK_EQUAL(parse({ { "threads", 1 } }).threads_batch, 1);
    CHECK(options.devices == default_gpu_ids());
    CHECK_EQUAL(options.gpu_layers, options.devices.empty() ? 0 : 49);
    CHECK(options.memory_map && options.telemetry);
    const json round = options_to_json(options);
    CHECK_EQUAL(options_to_json(options_parse(&round, inspection(40960))), round);
}

static void given_values_are_taken_and_bounded_by_the_model() {
    const load_options options = parse({ { "contextLength", 100 }, { "sequences", 2 }, { "batch", 32 }, { "threads", 3 },
                                         { "threadsBatch", 5 }, { "gpuLayers", 100000 }, { "devices", { "CPU" } },
                                         { "cpuExpertLayers", 99 }, { "kvTypeK", "q8_0" }, { "kvTypeV", "bf16" },
                                         { "flashAttention", "off" }, { "memoryMap", false }, { "telemetry", false } });
    CHECK_EQUAL(options.context_length, 100u);
    CHECK_EQUAL(options.threads_batch, 5);
    CHECK(options.devices.empty());
    CHECK_EQUAL(options.gpu_layers, 0);
    CHECK_EQUAL(options.cpu_expert_layers, 3);
    CHECK_EQUAL(options.kv_type_k, GGML_TYPE_Q8_0);
    CHECK_EQUAL(options.kv_type_v, GGML_TYPE_BF16);
    CHECK_EQUAL(options.flash_attention, LLAMA_FLASH_ATTN_TYPE_DISABLED);
    CHECK(!options.memory_map && !options.telemetry);
}

static void nonsense_is_refused() {
    CHECK_THROWS(parse({ { "context", 1 } }), user_error, refuses(error, "options.context"));
    CHECK_THROWS(parse({ { "contextLength", 7 } }), user_error, refuses(error, "from 8 to 16777216"));
    CHECK_THROWS(parse({ { "sequences", 65 } }), user_error, refuses(error, "from 1 to 64"));
    CHECK_THROWS(parse({ { "batch", 0 } }), user_error, refuses(error, "options.batch"));
    CHECK_THROWS(parse({ { "kvTypeK", "iq1_s" } }), user_error, refuses(error, "options.kvTypeK"));
    CHECK_THROWS(parse({ { "kvTypeV", "q8_0" }, { "flashAttention", "off" } }), user_error, refuses(error, "flash attention"));
    CHECK_THROWS(parse({ { "devices", json::array() }, { "tensorSplit", { 1 } } }), user_error, refuses(error, "one number per GPU"));
    CHECK_THROWS(parse(json::array()), user_error, refuses(error, "must be an object"));
    CHECK_THROWS(parse({ { "devices", { "Vulkan77" } } }), user_error,
                 error.code == "device.not-found" && std::string(error.what()).find("Vulkan77") != std::string::npos);
}

int main() {
    llama_log_install();
    backends_load();
    defaults_follow_model_and_machine();
    given_values_are_taken_and_bounded_by_the_model();
    nonsense_is_refused();
    return moebius_test::check_result();
}
