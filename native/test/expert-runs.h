// For tests of where experts are: greedy runs of the tiny model with its experts in any state, to be compared bit by bit with stock llama.cpp.
#pragma once

#include "check.h"
#include "decode-harness.h"
#include "model/estimate.h"
#include "model/experts.h"
#include "model/lazy-mapping.h"
#include "model/llama-open.h"
#include "model/model-parameters.h"

#include <llama-model.h>

#include <filesystem>
#include <fstream>
#include <random>

namespace moebius_test {

using namespace moebius;

struct outcome {
    std::vector<llama_token> tokens;  // greedy
    std::vector<float>       logits;  // of every step, and of the last prompt token
    expert_store_counters    counters;
    std::vector<prefetch_report> prefetched;
    uint64_t                 resizes = 0;
    bool                     packed  = false;  // experts came from a layout file
    std::optional<std::vector<super_expert>> supers;            // that the store knows at the end
    bool                     supers_stay = true;  // all of them are protected, and there
    uint64_t                 ffns  = 0;      // that the device computed with loaded experts
    bool                     given_up = false;  // they are llama.cpp's again
};

class counted_experts : public whole_experts {
  public:
    using whole_experts::whole_experts;
    void begin(uint32_t layer, std::vector<expert_use> & uses) override {
        count++;
        whole_experts::begin(layer, uses);
    }
    uint64_t count = 0;
};

struct settings {
    uint64_t    ram     = 0;  // 0: stock
    std::string policy  = "lru";
    int         threads = 1;  // several wait for each other in vain on a busy machine: where it is about them only
    uint32_t    batch   = 512;
    bool        by_node = false;  // every node of the graph is computed by itself: no FFN is seen whole
    bool        loaded  = false;  // by llama.cpp, computed by our device
    bool        storm   = false;  // another thread changes RAM and policy at random meanwhile
    const char * storage = "auto";  // see load_options
    bool        prefetch = false;
    std::function<void(loaded_experts &)> before{}, after{};  // what is generated; with a store
};

inline std::vector<llama_token> prompt_of(uint32_t length, uint32_t vocabulary) {
    std::vector<llama_token> tokens(length);
    std::mt19937             random(7);
    for (llama_token & token : tokens) {
        token = llama_token(random() % vocabulary);
    }
    return tokens;
}

class reconfiguring {
  public:
    explicit reconfiguring(expert_storage & store) : thread([this, &store] { run(store); }) {}
    ~reconfiguring() { stop(); }

    uint64_t stop() {
        stopping = true;
        if (thread.joinable()) {
            thread.join();
            CHECK_EQUAL(over, 0u);
        }
        return resizes;
    }

  private:
    void run(expert_storage & store) {
        std::mt19937   random(11);
        const uint64_t least = store.least_bytes(), most = store.most_bytes();
        while (!stopping) {
            const uint32_t kind = random() % 4;
            store.resize(kind == 0 ? least : kind == 1 ? most : least + random() % (most - least));
            over += store.slot_bytes() > store.settings().ram_bytes ? 1 : 0;
            if (auto * slots = dynamic_cast<expert_store *>(&store)) {
                if (random() % 2 == 0) {
                    std::vector<uint32_t> wanted(store.layout().layers.size());
                    std::generate(wanted.begin(), wanted.end(), [&] { return uint32_t(random() % (store.layout().experts + 1)); });
                    slots->share_out(wanted);
                    over += store.slot_bytes() > store.settings().ram_bytes ? 1 : 0;
                }
                slots->set_policy(cache_policy_names()[random() % cache_policy_names().size()]);
            }
            store.set_prefetch(random() % 4 > 0);
            resizes++;
            std::this_thread::sleep_for(std::chrono::milliseconds(random() % 20));
        }
    }

    std::atomic<bool> stopping{ false };
    uint64_t          resizes = 0, over = 0;
    std::thread       thread;
};

struct tiny {
    explicit tiny(const std::string & path = MOEBIUS_TINY_MODEL) : file(gguf_open(path)) {}

    gguf_model  file;
    json        inspection = inspect_model(file);
    expert_layout layout   = expert_layout_usable(file, inspection);

    // without repacked weights: the same kernels on both sides
    outcome run(const settings & how, uint32_t prompt_length, uint32_t steps) const {
        const json   json_options = { { "devices", json::array() }, { "expertRamBytes", how.ram }, { "expertPolicy", how.policy }, { "expertPrefetch", how.prefetch ? "auto" : "off" }, { "expertStorage", how.storage }, { "threads", how.threads },
                                      { "contextLength", 3072 }, { "sequences", 1 }, { "batch", how.batch }, { "telemetry", false } };
        load_options options      = options_parse(&json_options, inspection);
        find_layout(file, inspection, options);
        const auto   experts      = make_experts(file, inspection, options);
        model_parameters parameters(options, inspection, experts.get());
        parameters.value.use_extra_bufts = false;
        const llama_log_scope log;
        std::optional<lazy_mapping> unread;
        if (experts) {
            unread.emplace();
        }
        const llama_model_ptr model = llama_open(file, parameters.value, log);
        unread.reset();
        if (experts) {
            experts->store.fill([](uint64_t, uint64_t) { return true; });
            experts->look_ahead(model.get());
            if (how.before) {
                how.before(*experts);
            }
        }
        std::optional<counted_experts> loaded;
        if (how.loaded) {
            loaded.emplace(layout, model.get(), std::numeric_limits<int64_t>::max());
        }
        outcome                    result;
        std::optional<reconfiguring> storm;
        if (how.storm) {
            storm.emplace(experts->store);
        }
        if (how.by_node) {
            llama_context_params context = decode_context_parameters(model.get(), options);
            context.cb_eval              = [](ggml_tensor *, bool, void *) { return true; };
            generate(llama_context_ptr(llama_init_from_model(model.get(), context)).get(), how.batch, prompt_length, steps, result);
        } else {
            decode_context context(model.get(), options, router_shape());
            generate(context.get(), context.batch(), prompt_length, steps, result);
        }
        if (storm) {
            result.resizes = storm->stop();
        }
        if (experts) {
            if (how.after) {
                how.after(*experts);
            }
            result.packed   = experts->store.layout().layers[0].is_packed();
            result.counters   = experts->store.counters();
            result.prefetched = experts->store.prefetch_reports();
            if (const expert_store * slots = experts->slots()) {
                note_super_experts(*slots, result);
            }
        }
        if (loaded) {
            const ggml_tensor * down = model->get_tensor(expert_tensor_name(layout.layers[0], layout.layers[0].parts.back()).c_str());
            result.ffns              = loaded->count;
            result.given_up          = expert_tensor_of(down)->tokens_most == 0;
        }
        return result;
    }

    static void note_super_experts(const expert_store & store, outcome & result) {
        result.supers    = store.super_experts();
        const auto tiers = store.tiers();
        for (const super_expert & one : result.supers.value_or(std::vector<super_expert>())) {
            result.supers_stay = result.supers_stay && store.is_protected(one.expert) && tiers[one.expert.layer][one.expert.expert] == expert_tier::ram;
        }
    }

    static void generate(llama_context * context, uint32_t batch, uint32_t prompt_length, uint32_t steps, outcome & result) {
        const uint32_t           vocabulary = uint32_t(llama_vocab_n_tokens(llama_model_get_vocab(llama_get_model(context))));
        std::vector<llama_token> prompt     = prompt_of(prompt_length, vocabulary);
        const expert_source * experts = expert_source_of(llama_get_model(context));
        const auto            decode  = [&](llama_token * tokens, uint32_t count) {
            if (experts && experts->ahead) {
                experts->ahead->announce(tokens, count, { count - 1 });
            }
            CHECK(llama_decode(context, llama_batch_get_one(tokens, int32_t(count))) == 0);
        };
        for (uint32_t at = 0; at < prompt.size(); at += batch) {
            decode(prompt.data() + at, std::min(batch, uint32_t(prompt.size()) - at));
        }
        for (uint32_t i = 0; i < steps; i++) {
            const float * logits = llama_get_logits_ith(context, -1);
            result.logits.insert(result.logits.end(), logits, logits + vocabulary);
            llama_token next = llama_token(std::max_element(logits, logits + vocabulary) - logits);
            result.tokens.push_back(next);
            decode(&next, 1);
        }
    }
};

inline bool same_bits(const outcome & a, const outcome & b) {
    return a.tokens == b.tokens && a.logits.size() == b.logits.size() &&
           std::memcmp(a.logits.data(), b.logits.data(), a.logits.size() * sizeof(float)) == 0;
}

}  // namespace moebius_test
