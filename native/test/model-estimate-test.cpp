// What the estimate says is what a load takes; what cannot fit is refused first, with the numbers.
#include "check.h"
#include "model/backends.h"
#include "model/estimate.h"
#include "model/inspect.h"
#include "model/llama-log.h"
#include "model/plan-graph.h"
#include "model/registry.h"
#include "recorded-output.h"

#include <chrono>
#include <fstream>
#include <limits>

using namespace moebius;

namespace {

uint64_t resident_bytes() {
    std::ifstream status("/proc/self/status");
    std::string   word;
    while (status >> word) {
        if (word == "VmRSS:") {
            uint64_t kilobytes = 0;
            status >> kilobytes;
            return kilobytes * 1024;
        }
    }
    return 0;
}

struct tiny {
    gguf_model file       = gguf_open(MOEBIUS_TINY_MODEL);
    json       inspection = inspect_model(file);

    memory_estimate estimate(const json & options) {
        return estimate_memory(file, inspection, options_parse(&options, inspection));
    }
};

// First of all tests: memory that an earlier model gave back would be used again and not seen to grow.
// All sequences are filled, because graph buffers are as large as the fullest cache needs.
void estimate_is_within_a_tenth_of_what_the_process_grows_by() {
    tiny       model;
    const json options = { { "devices", json::array() }, { "threads", 1 } };
    model.estimate(options);  // vocabulary and graphs are built here for the first time, too: not the model's memory
    const uint64_t               need   = model.estimate(options).need();
    const uint64_t               before = resident_bytes();
    moebius_test::recorded_output out;
    model_registry               registry(out);
    call                         request(1, out);
    const json                   loaded = registry.load(request, MOEBIUS_TINY_MODEL, &options, std::nullopt);
    const std::vector<int32_t>   prompt(500, 100);
    for (int sequence = 1; sequence <= 4; sequence++) {
        registry.lease(1)->engine->generate(sequence, { { "generation", sequence }, { "model", 1 }, { "tokens", prompt }, { "maxTokens", 1 } });
    }
    for (int sequence = 1; sequence <= 4; sequence++) {
        CHECK(out.response(sequence).contains("result"));
    }
    const uint64_t grown = resident_bytes() - before;
    std::fprintf(stderr, "estimate %llu bytes, resident growth %llu bytes\n", (unsigned long long) need, (unsigned long long) grown);
#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)
    CHECK_NEAR(double(need) / double(grown), 1.0, 0.1);  // the promise; the rest is threads and tables
#endif
}

void estimate_is_what_is_allocated(const json & options) {
    tiny                          model;
    const memory_estimate         estimate = model.estimate(options);
    moebius_test::recorded_output out;
    model_registry                registry(out);
    call                          request(1, out);
    const json                    loaded = registry.load(request, MOEBIUS_TINY_MODEL, &options, std::nullopt);
    CHECK_EQUAL(loaded["memory"].size(), estimate.devices.size());
    for (size_t i = 0; i < estimate.devices.size(); i++) {
        const json & actual = loaded["memory"][i];
        CHECK_EQUAL(actual["id"], estimate.devices[i].id);
        CHECK_EQUAL(actual["weights"], estimate.devices[i].memory.weights);
        CHECK_EQUAL(actual["experts"], estimate.devices[i].memory.experts);
        CHECK_EQUAL(actual["kvCache"], estimate.devices[i].memory.kv_cache);
        // graph buffers: alignment may differ
        CHECK_NEAR(actual["compute"].get<double>() / double(estimate.devices[i].memory.compute), 1.0, 0.01);
    }
}

// beyond what is measured the estimate follows a line through smaller contexts
void a_huge_context_is_estimated_along_the_line() {
    tiny           model;
    const json     cpu  = json::array();
    const uint64_t cell = 4 * 4 * 32 * 2 * 2;  // layers * KV heads * head size * (K and V) * bytes
    for (const uint64_t length : { 100000ull, 1000000ull, 16777216ull }) {
        const memory_estimate estimate = model.estimate({ { "devices", cpu }, { "contextLength", length }, { "sequences", 4 } });
        CHECK_NEAR(double(estimate.total.kv_cache) / double(cell * length * 4), 1.0, 0.001);
    }
}

void classes_add_up_to_the_file() {
    tiny                  model;
    const memory_estimate estimate = model.estimate({ { "devices", json::array() } });
    uint64_t              experts  = 0;
    for (const gguf_tensor & tensor : model.file.tensors) {
        experts += classify_tensor(tensor.name) == tensor_class::experts ? tensor.bytes : 0;
    }
    CHECK(experts > 0);
    CHECK_NEAR(double(estimate.total.experts) / double(experts), 1.0, 0.01);  // CPUs may repack with padding
    // K and V: cells * layers * KV heads * head size * 2 bytes
    CHECK_EQUAL(estimate.total.kv_cache, 2ull * 4 * 512 * 4 * 4 * 32 * 2);
}

void an_impossible_context_is_refused_within_a_second() {
    const auto                    start = std::chrono::steady_clock::now();
    moebius_test::recorded_output out;
    model_registry                registry(out);
    call                          request(1, out);
    const json                    options = { { "contextLength", 16777216 }, { "sequences", 64 }, { "devices", json::array() } };
    const auto                    load    = [&] { return registry.load(request, MOEBIUS_TINY_MODEL, &options, std::nullopt); };
    CHECK_THROWS(load(), user_error,
                 error.code == "model.does-not-fit" && error.details["need"] > error.details["have"] && error.details["have"] > 0 &&
                     std::string(error.what()).find(std::to_string(error.details["need"].get<uint64_t>()) + " bytes") != std::string::npos &&
                     std::string(error.what()).find(std::to_string(error.details["have"].get<uint64_t>()) + " bytes") != std::string::npos);
    CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(1));
    CHECK_EQUAL(registry.list()["models"].size(), 0u);
}

void weights_beyond_all_memory_are_refused_without_llama() {
    tiny       model;
    const json options = { { "devices", json::array() } };
    refuse_hopeless(model.file, model.inspection, options_parse(&options, model.inspection));
    model.file.tensors[0].bytes = 1ull << 60;
    CHECK_THROWS(refuse_hopeless(model.file, model.inspection, options_parse(&options, model.inspection)), user_error,
                 error.code == "model.does-not-fit" && error.details["need"] > (1ull << 60) && error.details["have"] > 0);
    model.file.tensors[0].bytes = std::numeric_limits<uint64_t>::max();
    CHECK_THROWS(refuse_hopeless(model.file, model.inspection, options_parse(&options, model.inspection)), user_error, error.code == "model.does-not-fit");
}

void the_last_layer_is_planned_for_the_token_whose_logits_are_wanted() {
    tiny                model;
    const json          wanted  = json::object();
    const load_options  options = options_parse(&wanted, model.inspection);
    planned_model       plan(model.file, model.inspection, options, false);
    const planned_graph prompt = plan.graph(256, 256);
    CHECK_EQUAL(prompt.fused.size(), plan.layout().layers.size());
    for (const planned_ffn & ffn : prompt.fused) {
        CHECK_EQUAL(ffn.tokens, ffn.layer + 1 == prompt.fused.size() ? 1u : 256u);
    }
    for (const planned_ffn & ffn : plan.graph(1, 256).fused) {
        CHECK_EQUAL(ffn.tokens, 1u);
    }
}

}  // namespace

int main() {
    llama_log_install();
    backends_load();
    estimate_is_within_a_tenth_of_what_the_process_grows_by();
    estimate_is_what_is_allocated(json::object());  // with every GPU there is
    estimate_is_what_is_allocated({ { "telemetry", false }, { "contextLength", 300 }, { "sequences", 3 }, { "batch", 64 } });
    estimate_is_what_is_allocated({ { "kvTypeK", "q8_0" }, { "kvTypeV", "q4_0" }, { "memoryMap", false }, { "cpuExpertLayers", 2 } });
    a_huge_context_is_estimated_along_the_line();
    classes_add_up_to_the_file();
    an_impossible_context_is_refused_within_a_second();
    weights_beyond_all_memory_are_refused_without_llama();
    the_last_layer_is_planned_for_the_token_whose_logits_are_wanted();
    return moebius_test::check_result();
}
