// Runs of a model with its experts in RAM, on disk and on devices in any state, to be compared with stock llama.cpp step by step.
#pragma once

#include "check.h"
#include "decode-harness.h"
#include "experts/dispatch/device-dispatch.h"
#include "model/experts.h"
#include "model/lazy-mapping.h"
#include "model/llama-open.h"
#include "model/model-parameters.h"

#include <cmath>
#include <functional>
#include <random>

namespace moebius_test {

using namespace moebius;

struct device_run {
    bool                stock     = false;  // llama.cpp's own way; all below up to `batch` is ignored then
    double              ram       = 1.0;    // share of the experts that have room
    std::vector<double> budgets;            // the same of each device
    bool                adapts    = true;   // copies follow the load
    bool                cpu_helps = true;
    bool                fetches   = true;   // devices fetch experts for a batch
    bool                storm     = false;  // budgets, RAM and policy change at random meanwhile
    bool                ring      = false;  // all layers share the RAM
    uint32_t            batch     = 512;
    int                 threads   = 1;
    std::function<void(uint32_t step)> before_step;
    std::optional<low_precision_choice> low;    // on from the beginning; in a storm now and then
    std::vector<llama_token>            seen_before;  // evaluated first, and forgotten: what copies are chosen from
    std::function<void(loaded_experts & experts)> before, after;  // the prompt, and all that is evaluated
};

struct device_outcome {
    std::vector<std::vector<float>> logits;  // [step], of the last token of the prompt and of each token behind it but the last
    std::vector<llama_token>        tokens;  // [step], the likeliest
    std::vector<device_counters>    devices;
    std::vector<fetch_counters>     fetches;  // [devices]
    std::vector<bool>               lost;
    expert_store_counters           store;
    uint64_t                        on_cpu = 0, changes = 0;
    std::vector<layer_times>        times;
    std::optional<low_report>       low;
    std::vector<uint64_t>           bytes;  // [devices], of slots in full precision
    std::vector<layer_placement>    copies;  // in full precision

    uint64_t on_devices() const {
        uint64_t sum = 0;
        for (const device_counters & device : devices) {
            sum += device.tokens;
        }
        return sum;
    }
    uint64_t fetched() const {  // experts
        uint64_t sum = 0;
        for (const fetch_counters & device : fetches) {
            sum += device.experts;
        }
        return sum;
    }
    uint64_t copied() const {
        uint64_t sum = 0;
        for (const device_counters & device : devices) {
            sum += device.copied;
        }
        return sum;
    }
};

// Changes everything about the experts that can be changed, at random, until it is stopped.
class reconfiguring_devices {
  public:
    reconfiguring_devices(loaded_experts & experts, std::optional<low_precision_choice> low) : low(low), thread([this, &experts] { run(experts); }) {}

    uint64_t stop() {
        stopping = true;
        thread.join();
        return changes;
    }

  private:
    void run(loaded_experts & experts) {
        std::mt19937   random(11);
        const uint64_t all = device_slot_bytes(experts.store.layout()) * experts.store.layout().experts;
        const uint64_t least = experts.store.least_bytes(), most = expert_slots_most_bytes(experts.store.layout());
        while (!stopping) {
            if (experts.devices) {
                std::vector<uint64_t> bytes;
                for (uint32_t d = 0; d < experts.devices->tier.size(); d++) {
                    bytes.push_back(random() % 3 == 0 ? 0 : random() % all);
                }
                experts.devices->resize(bytes);
                if (low) {
                    experts.devices->set_low_precision(random() % 3 == 0 ? std::nullopt : low);
                }
                experts.devices->set_cpu_helps(random() % 2 == 0);
                experts.devices->set_fetches(random() % 2 == 0);
            }
            experts.store.resize(random() % 4 == 0 ? least : least + random() % (most - least));
            if (experts.slots()) {
                experts.slots()->set_policy(cache_policy_names()[random() % cache_policy_names().size()]);
            }
            changes++;
            std::this_thread::sleep_for(std::chrono::milliseconds(random() % 10));
        }
    }

    std::atomic<bool>                   stopping{ false };
    std::optional<low_precision_choice> low;
    uint64_t                            changes = 0;
    std::thread                         thread;
};

struct device_runs {
    gguf_model    file;
    json          inspection = inspect_model(file);
    expert_layout layout     = expert_layout_usable(file, inspection);
    std::vector<ggml_backend_dev_t> devices;  // that lend memory

    device_runs(const std::string & path, std::vector<ggml_backend_dev_t> devices) : file(gguf_open(path)), devices(std::move(devices)) {}

    // Evaluates `prompt` in batches and then `steps` tokens: those of `forced`, or else the likeliest each time.
    device_outcome run(const device_run & how, const std::vector<llama_token> & prompt, uint32_t steps, const std::vector<llama_token> & forced = {}) const {
        const uint64_t least  = how.ring ? expert_ring_least_bytes(layout) : expert_slots_least_bytes(layout);
        const uint64_t ram    = std::max(uint64_t(how.ram * double(expert_slots_most_bytes(layout))), least);
        const json     wanted = { { "devices", json::array() }, { "expertRamBytes", how.stock ? 0 : ram }, { "expertStorage", how.ring ? "ring" : "slots" }, { "threads", how.threads },
                                  { "contextLength", 3072 }, { "sequences", 1 }, { "batch", how.batch }, { "telemetry", false } };
        load_options   options = options_parse(&wanted, inspection);
        const auto     experts = make_experts(file, inspection, options);
        model_parameters parameters(options, inspection, experts.get());
        parameters.value.use_extra_bufts = false;  // the same kernels on both sides
        const llama_log_scope       log;
        std::optional<lazy_mapping> unread;
        if (experts) {
            unread.emplace();
        }
        const llama_model_ptr model = llama_open(file, parameters.value, log);
        unread.reset();
        if (experts) {
            prepare(*experts, how);
        }
        device_outcome result;
        {
            decode_context context(model.get(), options, router_shape());
            std::optional<reconfiguring_devices> storm;
            if (how.storm) {
                storm.emplace(*experts, how.low);
            }
            if (!how.seen_before.empty()) {
                decode(context.get(), how, how.seen_before);
                settle(*experts);
                llama_memory_clear(llama_get_memory(context.get()), true);
            }
            if (how.before) {
                how.before(*experts);
            }
            evaluate(context.get(), how, prompt, steps, forced, result);
            result.changes = storm ? storm->stop() : 0;
            if (how.low && !how.adapts) {
                settle(*experts);  // who is in low precision may have changed with one of the last batches
            }
        }
        if (how.after) {
            how.after(*experts);
        }
        if (experts) {
            result.store = experts->store.counters();
        }
        if (experts && experts->devices) {
            result.devices = experts->devices->tier.counters();
            result.fetches = experts->devices->seen().fetches();
            result.lost    = experts->devices->tier.lost();
            result.on_cpu  = experts->devices->seen().tokens_on_cpu();
            result.times   = experts->devices->seen().times();
            result.low     = experts->devices->low_precision();
            result.copies  = experts->devices->tier.placement();
            for (uint32_t d = 0; d < experts->devices->tier.size(); d++) {
                result.bytes.push_back(experts->devices->tier.device(d).bytes());
            }
        }
        return result;
    }

  private:
    void prepare(loaded_experts & experts, const device_run & how) const {
        experts.store.fill([](uint64_t, uint64_t) { return true; });
        if (how.budgets.empty()) {
            return;
        }
        std::vector<device_budget> budgets;
        for (size_t d = 0; d < how.budgets.size(); d++) {
            budgets.push_back({ devices.at(d), uint64_t(how.budgets[d] * double(device_slot_bytes(layout) * layout.experts)) });
        }
        experts.use_devices(budgets, how.batch);
        experts.devices->tier.set_adapts(how.adapts);
        experts.devices->set_cpu_helps(how.cpu_helps);
        experts.devices->set_fetches(how.fetches);
        experts.devices->begin([](uint64_t, uint64_t) { return true; });
        if (how.low) {
            experts.devices->set_low_precision(how.low);
        }
    }

    // Until all copies are where they are wanted.
    static void settle(const loaded_experts & experts) {
        for (int i = 0; i < 500; i++) {
            const auto low = experts.devices->low_precision();
            const bool looked = !low || low->calibrated + 1 >= low->experts.size();  // of the last layer hardly a token is evaluated
            if (i > 50 && looked && experts.devices->tier.moving() + (low ? low->moving : 0) == 0) {
                return;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
    }

    static void decode(llama_context * context, const device_run & how, std::vector<llama_token> tokens) {
        for (uint32_t at = 0; at < tokens.size(); at += how.batch) {
            CHECK(llama_decode(context, llama_batch_get_one(tokens.data() + at, int32_t(std::min<size_t>(how.batch, tokens.size() - at)))) == 0);
        }
    }

    static void evaluate(llama_context * context, const device_run & how, const std::vector<llama_token> & prompt, uint32_t steps, const std::vector<llama_token> & forced,
                         device_outcome & result) {
        const uint32_t vocabulary = uint32_t(llama_vocab_n_tokens(llama_model_get_vocab(llama_get_model(context))));
        decode(context, how, prompt);
        for (uint32_t i = 0; i < steps; i++) {
            if (how.before_step) {
                how.before_step(i);
            }
            const float * logits = llama_get_logits_ith(context, -1);
            result.logits.emplace_back(logits, logits + vocabulary);
            result.tokens.push_back(llama_token(std::max_element(logits, logits + vocabulary) - logits));
            llama_token next = forced.empty() ? result.tokens.back() : forced[i];
            if (i + 1 < steps) {
                CHECK(llama_decode(context, llama_batch_get_one(&next, 1)) == 0);
            }
        }
    }
};

inline double largest_difference(const device_outcome & a, const device_outcome & b) {
    double most = a.logits.size() == b.logits.size() ? 0 : INFINITY;
    for (size_t i = 0; i < std::min(a.logits.size(), b.logits.size()); i++) {
        for (size_t j = 0; j < a.logits[i].size(); j++) {
            most = std::max(most, double(std::fabs(a.logits[i][j] - b.logits[i][j])));
        }
    }
    return most;
}

// Steps at which another token is the likeliest than stock llama.cpp's, which went on with the same tokens, and stock's two best
// are further apart than rounding explains. 0: greedy decoding gives the same tokens.
inline uint32_t wrong_tokens(const device_outcome & stock, const device_outcome & other, double tolerance) {
    uint32_t wrong = 0;
    for (size_t i = 0; i < stock.tokens.size(); i++) {
        const float best = stock.logits[i][size_t(stock.tokens[i])], chosen = stock.logits[i][size_t(other.tokens[i])];
        wrong += best - chosen > 2 * tolerance ? 1 : 0;
    }
    return wrong;
}

}  // namespace moebius_test
