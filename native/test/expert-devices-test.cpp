// Experts on devices: the same tokens as stock llama.cpp within rounding, whatever copies are where, while they move, and while budgets change.
// Processes that compute for us stand for the devices.
#include "check.h"
#include "decode-harness.h"
#include "experts/dispatch/device-dispatch.h"
#include "model/experts.h"
#include "model/lazy-mapping.h"
#include "model/llama-open.h"
#include "model/model-parameters.h"
#include "rpc-servers.h"

#include <random>

using namespace moebius;

namespace {

// Partial sums of the CPU and the devices are added in another order than llama.cpp's: seen up to 2e-5.
constexpr double logit_tolerance = 1e-3;

struct settings {
    double   ram       = 1.0;      // share of the experts that have room
    std::vector<double> budgets;   // the same of each device; empty: stock llama.cpp
    uint32_t batch     = 512;
    int      threads   = 1;
    uint32_t words     = UINT32_MAX;  // different tokens in the prompt
    bool     adapts    = true;
    bool     cpu_helps = true;
    bool     storm     = false;    // budgets, RAM and policy change at random meanwhile
    bool     ring      = false;    // all layers share the RAM
    int      kill      = -1;       // this device, after `kill_at` steps
    uint32_t kill_at   = 0;
};

struct outcome {
    std::vector<std::vector<float>> logits;  // [step]
    std::vector<llama_token>        tokens;  // greedy
    std::vector<device_counters>    devices;
    std::vector<bool>               lost;
    uint64_t                        on_cpu = 0, changes = 0;
    std::vector<layer_times>        times;
};

std::vector<llama_token> prompt_of(uint32_t length, uint32_t vocabulary) {
    std::vector<llama_token> tokens(length);
    std::mt19937             random(7);
    for (llama_token & token : tokens) {
        token = llama_token(random() % vocabulary);
    }
    return tokens;
}

class reconfiguring {
  public:
    explicit reconfiguring(loaded_experts & experts) : thread([this, &experts] { run(experts); }) {}

    uint64_t stop() {
        stopping = true;
        thread.join();
        return changes;
    }

  private:
    void run(loaded_experts & experts) {
        std::mt19937   random(11);
        const uint64_t all = device_slot_bytes(experts.store.layout()) * experts.store.layout().experts;
        const uint64_t least = experts.store.least_bytes();
        while (!stopping) {
            std::vector<uint64_t> bytes;
            for (uint32_t d = 0; d < experts.devices->tier.size(); d++) {
                bytes.push_back(random() % 3 == 0 ? 0 : random() % all);
            }
            experts.devices->resize(bytes);
            experts.devices->set_cpu_helps(random() % 2 == 0);
            experts.store.resize(least + random() % all);
            if (experts.slots()) {
                experts.slots()->set_policy(cache_policy_names()[random() % cache_policy_names().size()]);
            }
            changes++;
            std::this_thread::sleep_for(std::chrono::milliseconds(random() % 10));
        }
    }

    std::atomic<bool> stopping{ false };
    uint64_t          changes = 0;
    std::thread       thread;
};

struct tiny {
    gguf_model    file       = gguf_open(MOEBIUS_TINY_MODEL);
    json          inspection = inspect_model(file);
    expert_layout layout     = expert_layout_usable(file, inspection);
    moebius_test::rpc_servers & machines;

    explicit tiny(moebius_test::rpc_servers & machines) : machines(machines) {}

    // `forced`: these tokens go on after the prompt instead of the greedy ones.
    outcome run(const settings & how, uint32_t prompt_length, uint32_t steps, const std::vector<llama_token> & forced = {}) const {
        const uint64_t all     = uint64_t(how.ram * double(expert_slots_most_bytes(layout)));
        const uint64_t least   = how.ring ? expert_ring_least_bytes(layout) : expert_slots_least_bytes(layout);
        const json     wanted  = { { "devices", json::array() }, { "expertRamBytes", how.budgets.empty() ? 0 : std::max(all, least) }, { "expertStorage", how.ring ? "ring" : "slots" }, { "threads", how.threads },
                                   { "contextLength", 3072 }, { "sequences", 1 }, { "batch", how.batch }, { "telemetry", false } };
        load_options   options = options_parse(&wanted, inspection);
        const auto     experts = make_experts(file, inspection, options);
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
            std::vector<device_budget> budgets;
            for (size_t d = 0; d < how.budgets.size(); d++) {
                budgets.push_back({ machines.devices()[d], uint64_t(how.budgets[d] * double(device_slot_bytes(layout) * layout.experts)) });
            }
            experts->use_devices(budgets, how.batch);
            experts->devices->tier.set_adapts(how.adapts);
            experts->devices->set_cpu_helps(how.cpu_helps);
            experts->devices->begin([](uint64_t, uint64_t) { return true; });
        }
        outcome result;
        {
            decode_context context(model.get(), options, router_shape());
            std::optional<reconfiguring> storm;
            if (how.storm) {
                storm.emplace(*experts);
            }
            generate(context.get(), how, prompt_length, steps, forced, result);
            result.changes = storm ? storm->stop() : 0;
        }
        if (experts) {
            result.devices = experts->devices->tier.counters();
            result.lost    = experts->devices->tier.lost();
            result.on_cpu  = experts->devices->tokens_on_cpu();
            result.times   = experts->devices->times();
        }
        return result;
    }

    void generate(llama_context * context, const settings & how, uint32_t prompt_length, uint32_t steps, const std::vector<llama_token> & forced, outcome & result) const {
        const uint32_t           batch      = how.batch;
        const uint32_t           vocabulary = uint32_t(llama_vocab_n_tokens(llama_model_get_vocab(llama_get_model(context))));
        std::vector<llama_token> prompt     = prompt_of(prompt_length, std::min(vocabulary, how.words));
        for (uint32_t at = 0; at < prompt.size(); at += batch) {
            CHECK(llama_decode(context, llama_batch_get_one(prompt.data() + at, int32_t(std::min<size_t>(batch, prompt.size() - at)))) == 0);
        }
        for (uint32_t i = 0; i < steps; i++) {
            if (how.kill >= 0 && i == how.kill_at) {
                machines.kill(how.kill);
            }
            const float * logits = llama_get_logits_ith(context, -1);
            result.logits.emplace_back(logits, logits + vocabulary);
            result.tokens.push_back(llama_token(std::max_element(logits, logits + vocabulary) - logits));
            llama_token next = forced.empty() ? result.tokens.back() : forced[i];
            CHECK(llama_decode(context, llama_batch_get_one(&next, 1)) == 0);
        }
    }
};

double largest_difference(const outcome & a, const outcome & b) {
    double most = a.logits.size() == b.logits.size() ? 0 : INFINITY;
    for (size_t i = 0; i < std::min(a.logits.size(), b.logits.size()); i++) {
        for (size_t j = 0; j < a.logits[i].size(); j++) {
            most = std::max(most, double(std::fabs(a.logits[i][j] - b.logits[i][j])));
        }
    }
    return most;
}

// The same greedy tokens, but where stock llama.cpp's two best are nearer than the tolerance.
uint32_t wrong_tokens(const outcome & stock, const outcome & other) {
    uint32_t wrong = 0;
    for (size_t i = 0; i < stock.tokens.size(); i++) {
        const float best = stock.logits[i][size_t(stock.tokens[i])], chosen = stock.logits[i][size_t(other.tokens[i])];
        wrong += best - chosen > 2 * logit_tolerance ? 1 : 0;
    }
    return wrong;
}

uint64_t on_devices(const outcome & result) {
    uint64_t sum = 0;
    for (const device_counters & device : result.devices) {
        sum += device.tokens;
    }
    return sum;
}

void same(const outcome & stock, const outcome & other) {
    CHECK_EQUAL(wrong_tokens(stock, other), 0u);
    CHECK_NEAR(largest_difference(stock, other), 0, logit_tolerance);
}

void same_tokens_on_any_rig(moebius_test::rpc_servers & machines) {
    const tiny     model(machines);
    const uint32_t prompt = 600, steps = 64;
    settings       plain;
    plain.batch           = 64;
    const outcome  stock  = model.run(plain, prompt, steps);
    // llama.cpp evaluates the last layer for tokens with logits only
    const uint64_t uses   = uint64_t(prompt + steps) * model.layout.used * (model.layout.layers.size() - 1);
    for (const std::vector<double> & budgets : std::vector<std::vector<double>>{ { 1.0 }, { 0.5, 0.5 }, { 0.3, 0.1 }, { 1.0, 1.0 }, { 0.5, 0.5, 0.5, 0.5 }, { 0.05, 0, 0.4 } }) {
        for (const bool helps : { false, true }) {
            settings how         = plain;
            how.budgets          = budgets;
            how.ram              = 0.5;
            how.cpu_helps        = helps;
            how.batch            = 64;
            const outcome result = model.run(how, prompt, steps, stock.tokens);
            same(stock, result);
            CHECK(on_devices(result) + result.on_cpu >= uses);
            CHECK(on_devices(result) > 0);
            const double room = std::accumulate(budgets.begin(), budgets.end(), 0.0);
            if (room >= 1 && !helps) {
                CHECK_EQUAL(result.on_cpu, 0u);
            }
            if (room < 0.9) {
                CHECK(result.on_cpu > 0);
            }
        }
    }
}

void copies_follow_the_load_and_change_nothing(moebius_test::rpc_servers & machines) {
    const tiny model(machines);
    const outcome stock = model.run({}, 300, 200);
    settings      how;
    how.budgets          = { 0.75, 0.75 };
    how.cpu_helps        = false;
    const outcome fixed  = [&] { settings still = how; still.adapts = false; return model.run(still, 300, 200, stock.tokens); }();
    const outcome moving = model.run(how, 300, 200, stock.tokens);
    same(stock, fixed);
    same(stock, moving);
    CHECK_EQUAL(fixed.devices[0].copied + fixed.devices[1].copied, 0u);
    CHECK(moving.devices[0].copied + moving.devices[1].copied > 0);
}

void the_busiest_experts_are_on_a_small_device(moebius_test::rpc_servers & machines) {
    const tiny model(machines);
    settings   how;
    how.words           = 4;  // few experts are busy
    how.batch           = 32;
    const outcome stock = model.run(how, 600, 20);
    how.budgets          = { 0.25 };
    how.cpu_helps        = false;
    const outcome moving = model.run(how, 600, 20, stock.tokens);
    how.adapts           = false;
    const outcome fixed  = model.run(how, 600, 20, stock.tokens);
    same(stock, moving);
    std::fprintf(stderr, "on the device: %llu while copies move, %llu where they stay\n", (unsigned long long) moving.devices[0].tokens, (unsigned long long) fixed.devices[0].tokens);
    CHECK(moving.devices[0].tokens > fixed.devices[0].tokens * 5 / 4);
}

void same_tokens_while_everything_changes(moebius_test::rpc_servers & machines) {
    const tiny model(machines);
    settings      how;
    how.batch           = 128;
    const outcome stock = model.run(how, 1000, 300);
    how.budgets          = { 0.5, 0.2, 0.3 };
    how.ram              = 0.3;
    how.storm            = true;
    const outcome result = model.run(how, 1000, 300, stock.tokens);
    same(stock, result);
    CHECK(result.changes > 5);
    CHECK(on_devices(result) > 0 && result.on_cpu > 0);
}

// Copies come from the ring or, mostly, from the file.
void same_tokens_with_the_rest_in_a_ring(moebius_test::rpc_servers & machines) {
    const tiny model(machines);
    settings      how;
    how.batch           = 64;
    const outcome stock = model.run(how, 300, 100);
    how.budgets          = { 0.4, 0.3 };
    how.ring             = true;
    for (const double ram : { 0.0, 0.3 }) {  // 0: its least
        how.ram              = ram;
        how.storm            = ram > 0;
        const outcome result = model.run(how, 300, 100, stock.tokens);
        same(stock, result);
        CHECK(on_devices(result) > 0 && result.on_cpu > 0);
    }
}

void a_device_that_dies_takes_nothing_along(moebius_test::rpc_servers & machines) {
    const tiny    model(machines);
    const outcome stock = model.run({}, 100, 60);
    settings      how;
    how.budgets          = { 0.6, 0.6 };
    how.cpu_helps        = false;
    how.kill             = 1;
    how.kill_at          = 20;
    const outcome result = model.run(how, 100, 60, stock.tokens);
    same(stock, result);
    CHECK((result.lost == std::vector<bool>{ false, true }));
    CHECK(result.devices[1].tokens > 0 && result.on_cpu > 0);
}

void times_are_counted(moebius_test::rpc_servers & machines) {
    const tiny model(machines);
    settings       how;
    how.budgets          = { 0.5, 0.5 };
    how.cpu_helps        = false;
    const outcome result = model.run(how, 100, 20);
    for (const layer_times & layer : result.times) {
        CHECK(layer.total > 0);
        CHECK_EQUAL(layer.busy.size(), 3u);
        CHECK(layer.busy[0] > 0 && layer.busy[0] <= layer.total && layer.busy[1] <= layer.total);
    }
}

void a_device_that_is_too_small_says_so(moebius_test::rpc_servers & machines) {
    const tiny model(machines);
    const uint64_t        least = expert_slots_least_bytes(model.layout);
    expert_store          store(model.layout, { least, "lru", 1, {} });
    const std::vector<device_budget> too_many(devices_most + 1, { machines.devices()[0], 0 });
    CHECK_THROWS(device_dispatch(store, too_many, 1), user_error, error.code == "request.invalid");
    device_dispatch none(store, { { machines.devices()[0], device_slot_bytes(model.layout) - 1 } }, 1);
    CHECK(none.tier.slots(0, 0) <= 1u);
}

}  // namespace

int main() {
    moebius_test::start_llama();
    moebius_test::rpc_servers machines(4);
    same_tokens_on_any_rig(machines);
    copies_follow_the_load_and_change_nothing(machines);
    the_busiest_experts_are_on_a_small_device(machines);
    same_tokens_while_everything_changes(machines);
    same_tokens_with_the_rest_in_a_ring(machines);
    times_are_counted(machines);
    a_device_that_is_too_small_says_so(machines);
    a_device_that_dies_takes_nothing_along(machines);  // the last: that machine is gone
    return moebius_test::check_result();
}
