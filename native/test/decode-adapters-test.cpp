// Adapters switched by each request: on is the merged model, off is the base to the bit, wherever experts are and whoever else generates.
#include "adapter-fixture.h"
#include "rpc-servers.h"
#include "small-base.h"

#include <llama-model.h>

using namespace moebius_test;

namespace {

// Order of additions: seen up to 3e-6 of the largest logit.
constexpr double merged_tolerance = 2e-5;

const char * const prompts[] = {
    "<|im_start|>user\nWhat is a dwarf?<|im_end|>\n<|im_start|>assistant\n",
    "In the beginning God created",
    "static int parse_args(int argc, char ** argv) {\n",
};

std::vector<int32_t> some_tokens() {
    std::vector<int32_t> tokens;
    for (int32_t i = 0; i < 24; i++) {
        tokens.push_back(20 + 37 * i % 200);
    }
    return tokens;
}

bool same_bits(const std::vector<float> & a, const std::vector<float> & b) {
    return !a.empty() && a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::vector<int32_t> tokens_of(const std::string & path, const char * prompt) {
    served_model model(path);
    return model.ask(greedy_request(prompt, json::array())).ids();
}

struct expected_replies {
    explicit expected_replies(const adapter_files & files) {
        for (const char * prompt : prompts) {
            base.push_back(tokens_of(files.base, prompt));
            first.push_back(tokens_of(files.merged[0], prompt));
            second.push_back(tokens_of(files.merged[1], prompt));
            CHECK(base.back() != first.back() && first.back() != second.back());
        }
    }
    std::vector<std::vector<int32_t>> base, first, second;
};

// options: where the experts are
void on_is_merged_and_off_is_the_base(const adapter_files & files, const expected_replies & expected, json options) {
    options["sequences"] = 1;  // else the same tokens lie in other cells of the KV cache each time, whose sums round otherwise
    const std::vector<int32_t> tokens = some_tokens();
    const std::vector<float>   merged = served_model(files.merged[0]).logits(tokens);
    served_model               model(files.base, options);
    const std::vector<float>   before = model.logits(tokens);
    const int32_t              id     = model.add(files.file[0]);
    CHECK(same_bits(model.logits(tokens), before));
    const std::vector<float> with = model.logits(tokens, with_adapters({ { id, 1 } }));
    CHECK_NEAR(share_of_difference(with, merged), 0, merged_tolerance);
    CHECK(share_of_difference(with, before) > 0.1);
    CHECK(same_bits(model.logits(tokens), before));
    CHECK(same_bits(model.logits(tokens, with_adapters({ { id, 0 } })), before));
    CHECK(same_bits(model.logits(tokens, with_adapters({ { id, 1 } })), with));
    for (size_t i = 0; i < 3; i++) {
        CHECK(model.ask(greedy_request(prompts[i], with_adapters({ { id, 1 } }))).ids() == expected.first[i]);
        CHECK(model.ask(greedy_request(prompts[i], json::array())).ids() == expected.base[i]);
    }
}

// The FFN of loaded experts is computed as one piece again when the adapters are off.
void the_fused_path_comes_back(const adapter_files & files) {
    served_model model(files.base);
    const auto   taken = [&] {
        const model_lease lease = model.registry.lease(model.id);
        return expert_tensor_of(lease->model->get_tensor("blk.0.ffn_down_exps.weight"));
    };
    const int64_t most = taken()->tokens_most;
    const int32_t id   = model.add(files.file[0]);
    CHECK(most > 0 && !taken()->is_adapted);
    model.ask(greedy_request(prompts[0], with_adapters({ { id, 1 } }), 4));
    CHECK(taken()->is_adapted);
    model.ask(greedy_request(prompts[0], json::array(), 4));
    CHECK(!taken()->is_adapted);
    CHECK_EQUAL(taken()->tokens_most.load(), most);
}

void scales_are_those_of_the_request(const adapter_files & files) {
    const gguf_model base = gguf_open(files.base);
    adapter          half = adapter_read(files.file[0], base);
    for (adapted_tensor & tensor : half.tensors) {
        tensor.lora_alpha *= -0.5f;
    }
    const std::string path = files.folder.path("half.gguf");
    merge_write(base, half, merge_type_named("f32"), path, 2, [](uint64_t, uint64_t) { return true; });
    served_model  model(files.base);
    const int32_t id = model.add(files.file[0]);
    CHECK_NEAR(share_of_difference(model.logits(some_tokens(), with_adapters({ { id, -0.5f } })), served_model(path).logits(some_tokens())), 0, merged_tolerance);
    CHECK_EQUAL(model.ask(greedy_request(prompts[0], json::parse("[{\"adapter\": " + std::to_string(id) + "}]"))).ids().size(), 40u);  // scale 1
}

// All at once, with cached prefixes, in every order: each as if it were alone.
void requests_with_different_adapters_run_at_once(const adapter_files & files, const expected_replies & expected) {
    served_model  model(files.base);
    const int32_t first = model.add(files.file[0]), second = model.add(files.file[1]);
    for (int round = 0; round < 3; round++) {
        std::vector<std::pair<int, const std::vector<int32_t> *>> sent;
        for (size_t i = 0; i < 3; i++) {
            sent.push_back({ model.send(greedy_request(prompts[i], json::array())), &expected.base[i] });
            sent.push_back({ model.send(greedy_request(prompts[i], with_adapters({ { first, 1 } }))), &expected.first[i] });
            sent.push_back({ model.send(greedy_request(prompts[i], with_adapters({ { second, 1 } }))), &expected.second[i] });
        }
        for (const auto & [id, tokens] : sent) {
            CHECK(model.out.wait(id).ids() == *tokens);
        }
    }
    // and both at once, which is neither
    const auto both = model.ask(greedy_request(prompts[0], with_adapters({ { first, 1 }, { second, 1 } }))).ids();
    CHECK(both.size() == 40 && both != expected.first[0] && both != expected.second[0]);
}

void prefixes_are_of_one_set(const adapter_files & files) {
    served_model  model(files.base);
    const int32_t id     = model.add(files.file[0]);
    const auto    cached = [&](const json & adapters, const char * key) {
        json request        = greedy_request(prompts[0], adapters, 4);
        request["cacheKey"] = key;
        const reply_seen reply = model.ask(request);
        return reply.result["cachedTokens"].get<int>();
    };
    const int all = model.ask(greedy_request(prompts[0], json::array(), 1)).result["promptTokens"].get<int>() - 1;
    CHECK_EQUAL(cached(json::array(), ""), all);
    CHECK_EQUAL(cached(with_adapters({ { id, 1 } }), ""), 0);
    CHECK_EQUAL(cached(with_adapters({ { id, 1 } }), ""), all);
    CHECK_EQUAL(cached(with_adapters({ { id, 0.5f } }), ""), 0);
    CHECK_EQUAL(cached(with_adapters({ { id, 0 } }), ""), all);
    // a conversation that switches back and forth keeps both
    CHECK_EQUAL(cached(json::array(), "chat"), all);
    cached(with_adapters({ { id, 1 } }), "chat");
    CHECK_EQUAL(cached(json::array(), "chat"), all);
    CHECK_EQUAL(cached(with_adapters({ { id, 1 } }), "chat"), all);
}

void the_router_is_seen_with_it(const adapter_files & files) {
    served_model  model(files.base), merged(files.merged[0]);
    const int32_t id      = model.add(files.file[0]);
    json          request = greedy_request(prompts[1], with_adapters({ { id, 1 } }), 16);
    json          alone   = greedy_request(prompts[1], json::array(), 16);
    request["routes"] = alone["routes"] = true;
    const reply_seen seen = model.ask(request), expected = merged.ask(alone);
    CHECK(!seen.route_experts.empty() && seen.route_experts == expected.route_experts);
}

void a_running_request_keeps_its_adapter(const adapter_files & files, const expected_replies & expected) {
    served_model                  model(files.base);
    const int32_t                 id = model.add(files.file[0]);
    std::weak_ptr<loaded_adapter> memory = model.engine().adapters().set_of({ { id, 1 } }).uses[0].adapter;
    const int                     running = model.send(greedy_request(prompts[0], with_adapters({ { id, 1 } }), 200));
    model.out.wait_for_tokens(running, 2);
    model.engine().drop_adapter(id);
    CHECK_EQUAL(model.engine().adapters().list().size(), 0u);
    const auto tokens = model.out.wait(running).ids();
    CHECK_EQUAL(tokens.size(), 200u);
    CHECK(std::equal(expected.first[0].begin(), expected.first[0].end(), tokens.begin()));
    CHECK(model.ask(greedy_request(prompts[0], json::array())).ids() == expected.base[0]);
    CHECK(memory.expired());
    // unloaded while nobody uses it, but still on from the last request
    const int32_t again = model.add(files.file[0]);
    memory              = model.engine().adapters().set_of({ { again, 1 } }).uses[0].adapter;
    CHECK(again > id);
    model.ask(greedy_request(prompts[0], with_adapters({ { again, 1 } }), 4));
    model.engine().drop_adapter(again);
    CHECK(memory.expired());
}

void bad_requests_are_refused(const adapter_files & files) {
    served_model  model(files.base);
    const int32_t id      = model.add(files.file[0]);
    const auto    refused = [&](const char * code, const json & adapters) {
        CHECK_THROWS(model.ask(greedy_request(prompts[0], adapters)), user_error, error.code == code && std::string(error.what()).size() > 25);
        CHECK_THROWS(model.logits(some_tokens(), adapters), user_error, error.code == code);
    };
    refused("adapter.not-found", with_adapters({ { id + 1, 1 } }));
    refused("adapter.not-found", with_adapters({ { id, 1 }, { id + 1, 0 } }));
    refused("request.invalid", with_adapters({ { id, 1 }, { id, 1 } }));
    refused("request.invalid", with_adapters({ { id, 101 } }));
    refused("request.invalid", with_adapters({ { id, INFINITY } }));
    refused("request.invalid", with_adapters({ { id, NAN } }));
    refused("request.invalid", with_adapters({ { 0, 1 } }));
    refused("request.invalid", json::parse(R"([{"adapter": 1, "scales": 1}])"));
    refused("request.invalid", json::array({ "first" }));
    refused("request.invalid", with_adapters(std::vector<std::pair<int32_t, float>>(17, { id, 1.0f })));
    CHECK_THROWS(model.engine().drop_adapter(id + 1), user_error, error.code == "adapter.not-found");
    CHECK_EQUAL(model.ask(greedy_request(prompts[0], with_adapters({ { id, 1 } }))).ids().size(), 40u);
}

void bad_files_are_refused(const adapter_files & files) {
    served_model model(files.base);
    const auto   refused = [&](const char * code, const std::string & path) {
        CHECK_THROWS(model.add(path), user_error, error.code == code && std::string(error.what()).size() > 25);
    };
    std::ifstream     stream(files.file[0], std::ios::binary);
    const std::string good((std::istreambuf_iterator<char>(stream)), {});
    std::string       nan = good;
    const float       bad = NAN;
    std::memcpy(nan.data() + nan.size() - 4, &bad, 4);
    refused("file.corrupt", files.folder.write("nan.gguf", nan));
    refused("file.truncated", files.folder.write("cut.gguf", good.substr(0, good.size() - 100)));
    refused("file.not-gguf", files.folder.write("text.gguf", "no GGUF at all, but long enough to be looked at"));
    refused("file.not-found", files.folder.path("nowhere.gguf"));
    refused("model.unsupported", files.base);
    for (const small_base & other : small_bases()) {  // of another architecture, or of another size
        if (other.architecture == "deepseek2") {
            continue;  // its attention's adapters have no place in such a file
        }
        const std::string path = write_small_base(other);
        adapter_write(everywhere(gguf_open(path), 2, 4, 0.1f), files.folder.path("other.gguf"), GGML_TYPE_F32);
        std::filesystem::remove(path);
        refused("request.invalid", files.folder.path("other.gguf"));
    }
    CHECK_EQUAL(model.engine().adapters().list().size(), 0u);
}

void f16_files_stay_f16(const adapter_files & files) {
    const gguf_model  base = gguf_open(files.base);
    const std::string path = files.folder.path("f16.gguf");
    adapter_write(adapter_read(files.file[0], base), path, GGML_TYPE_F16);
    served_model  model(files.base);
    const int32_t small = model.add(path), large = model.add(files.file[0]);
    const json    all = model.engine().adapters().list();
    CHECK_EQUAL(all[0]["bytes"].get<uint64_t>() * 2, all[1]["bytes"].get<uint64_t>());
    CHECK(all[0]["loraRankLeast"] == 4 && all[0]["loraRankMost"] == 4 && all[0]["loraAlpha"] == 8 && all[0]["changesExperts"] == true && all[0]["changesRouter"] == true);
    const auto x = model.logits(some_tokens(), with_adapters({ { small, 1 } })), y = model.logits(some_tokens(), with_adapters({ { large, 1 } }));
    CHECK_NEAR(share_of_difference(x, y), 0, 5e-2);  // eleven bits of a and b, through four layers and routers
}

}  // namespace

int main() {
    start_llama();
    const adapter_files    files;
    const expected_replies expected(files);
    on_is_merged_and_off_is_the_base(files, expected, json::object());
    on_is_merged_and_off_is_the_base(files, expected, { { "expertRamBytes", 24 << 20 } });
    on_is_merged_and_off_is_the_base(files, expected, { { "expertRamBytes", 24 << 20 }, { "expertStorage", "ring" } });
    const rpc_servers machines(2);
    const std::string gpu = ggml_backend_dev_name(machines.devices()[0]), other = ggml_backend_dev_name(machines.devices()[1]);
    on_is_merged_and_off_is_the_base(files, expected, { { "devices", { gpu, other } } });
    on_is_merged_and_off_is_the_base(files, expected, { { "devices", { gpu } }, { "cpuExpertLayers", 2 } });
    on_is_merged_and_off_is_the_base(files, expected, { { "devices", { gpu } }, { "expertRamBytes", 24 << 20 }, { "expertDevices", { { { "id", gpu }, { "bytes", 32 << 20 } } } } });
    the_fused_path_comes_back(files);
    scales_are_those_of_the_request(files);
    requests_with_different_adapters_run_at_once(files, expected);
    prefixes_are_of_one_set(files);
    the_router_is_seen_with_it(files);
    a_running_request_keeps_its_adapter(files, expected);
    bad_requests_are_refused(files);
    bad_files_are_refused(files);
    f16_files_stay_f16(files);
    return check_result();
}
