// A model of the registry with adapters beside it, and what it says with them on and off.
#pragma once

#include "check.h"
#include "decode-harness.h"
#include "model/adapter-load.h"
#include "model/registry.h"
#include "train-adapters.h"
#include "train/export/adapter-file.h"
#include "train/export/merge.h"

#include <memory>

namespace moebius_test {

struct served_model {
    explicit served_model(const std::string & path, json options = json::object()) : registry(out) {
        // like the tests of stock llama.cpp: everything in F32 that can be so
        const json basis = { { "devices", json::array() }, { "threads", 1 },     { "contextLength", 256 }, { "sequences", 4 },
                             { "batch", 128 },             { "kvTypeK", "f32" }, { "kvTypeV", "f32" },     { "flashAttention", "off" } };
        json       all   = basis;
        all.update(options);
        call request(0, out);
        id = registry.load(request, path, &all, std::nullopt)["model"];
    }

    decoder & engine() const { return *registry.lease(id)->engine; }

    int32_t add(const std::string & path) const {
        const model_lease lease = registry.lease(id);
        return lease->engine->adapters().add(load_adapter(*lease, path))["adapter"];
    }

    int send(json parameters) {
        parameters["generation"] = ++last;
        parameters["model"]      = id;
        engine().generate(last, parameters);
        return last;
    }
    reply_seen ask(json parameters) { return out.wait(send(std::move(parameters))); }
    std::vector<float> logits(const std::vector<int32_t> & tokens, const json & adapters = json::array()) {
        ++last;
        engine().logits(last, { { "generation", last }, { "model", id }, { "tokens", tokens }, { "all", true }, { "adapters", adapters } });
        return out.wait(last).logits;
    }

    recorder       out;
    model_registry registry;
    int32_t        id   = 0;
    int            last = 0;
};

inline json with_adapters(std::vector<std::pair<int32_t, float>> uses) {
    json list = json::array();
    for (const auto & [adapter, scale] : uses) {
        list.push_back({ { "adapter", adapter }, { "scale", scale } });
    }
    return list;
}

inline json greedy_request(const std::string & prompt, const json & adapters, int tokens = 40) {
    return { { "prompt", prompt }, { "maxTokens", tokens }, { "sampling", greedy() }, { "adapters", adapters }, { "ignoreEndOfGeneration", true } };
}

// The tiny model in F32, two adapters of everything, and the models that they make of it.
struct adapter_files {
    adapter_files() {
        const gguf_model tiny  = gguf_open(MOEBIUS_TINY_MODEL);
        const auto       whole = [](uint64_t, uint64_t) { return true; };
        merge_write(tiny, { tiny.architecture(), {}, {} }, merge_type_named("f32"), base, 2, whole);
        const gguf_model f32 = gguf_open(base);
        for (int i = 0; i < 2; i++) {
            adapter one = everywhere(f32, 4, 8, 0.3f);
            if (i == 1) {  // another one: b the other way, and twice as strong
                for (const adapted_tensor & tensor : one.tensors) {
                    for (float & value : one.parameters[tensor.b].values) {
                        value *= -2;
                    }
                }
            }
            adapter_write(one, file[i], GGML_TYPE_F32);
            merge_write(f32, one, merge_type_named("f32"), merged[i], 2, whole);
        }
    }

    const scratch_folder folder{ "moebius-switched-adapters" };
    const std::string    base      = folder.path("base.gguf");
    const std::string    file[2]   = { folder.path("first.gguf"), folder.path("second.gguf") };
    const std::string    merged[2] = { folder.path("first-merged.gguf"), folder.path("second-merged.gguf") };
};

}  // namespace moebius_test
