// Experts on devices: the same tokens as stock llama.cpp within rounding, whatever copies are where, while they move, and while budgets change.
// Processes that compute for us stand for the devices.
#include "device-runs.h"
#include "rpc-servers.h"

#include <numeric>

using namespace moebius;
using moebius_test::device_outcome;
using moebius_test::device_run;

namespace {

// Partial sums of the CPU and the devices are added in another order than llama.cpp's: seen up to 2e-5.
constexpr double logit_tolerance = 1e-3;

std::vector<llama_token> prompt_of(uint32_t length, uint32_t different = 1024) {
    std::vector<llama_token> tokens(length);
    std::mt19937             random(7);
    for (llama_token & token : tokens) {
        token = llama_token(random() % different);
    }
    return tokens;
}

void same(const device_outcome & stock, const device_outcome & other) {
    CHECK_EQUAL(wrong_tokens(stock, other, logit_tolerance), 0u);
    CHECK_NEAR(largest_difference(stock, other), 0, logit_tolerance);
}

device_run stock_run(uint32_t batch = 512) {
    device_run how;
    how.stock = true;
    how.batch = batch;
    return how;
}

struct tiny : moebius_test::device_runs {
    moebius_test::rpc_servers & machines;
    explicit tiny(moebius_test::rpc_servers & machines) : device_runs(MOEBIUS_TINY_MODEL, machines.devices()), machines(machines) {}
};

void same_tokens_on_any_rig(moebius_test::rpc_servers & machines) {
    const tiny               model(machines);
    const uint32_t           length = 600, steps = 64;
    const std::vector<llama_token> prompt = prompt_of(length);
    const device_outcome     stock = model.run(stock_run(64), prompt, steps);
    // llama.cpp evaluates the last layer for tokens with logits only
    const uint64_t uses = uint64_t(length + steps - 1) * model.layout.used * (model.layout.layers.size() - 1);
    for (const std::vector<double> & budgets : std::vector<std::vector<double>>{ { 1.0 }, { 0.5, 0.5 }, { 0.3, 0.1 }, { 1.0, 1.0 }, { 0.5, 0.5, 0.5, 0.5 }, { 0.05, 0, 0.4 } }) {
        for (const bool helps : { false, true }) {
            device_run how;
            how.budgets   = budgets;
            how.ram       = 0.5;
            how.cpu_helps = helps;
            how.batch     = 64;
            const device_outcome result = model.run(how, prompt, steps, stock.tokens);
            same(stock, result);
            CHECK(result.on_devices() + result.on_cpu >= uses);
            CHECK(result.on_devices() > 0);
            const double room = std::accumulate(budgets.begin(), budgets.end(), 0.0);
            if (room >= 1 && !helps) {  // a copy that moves, as when one device seems faster than another, is nowhere meanwhile
                CHECK(result.copied() == 0 ? result.on_cpu == 0 : result.on_cpu < uses / 100);
            }
            if (room < 0.9) {
                CHECK(result.on_cpu > 0);
            }
        }
    }
}

void copies_follow_the_load_and_change_nothing(moebius_test::rpc_servers & machines) {
    const tiny           model(machines);
    const auto           prompt = prompt_of(300);
    const device_outcome stock  = model.run(stock_run(), prompt, 200);
    device_run           how;
    how.budgets                 = { 0.75, 0.75 };
    how.cpu_helps               = false;
    const device_outcome moving = model.run(how, prompt, 200, stock.tokens);
    how.adapts                  = false;
    const device_outcome fixed  = model.run(how, prompt, 200, stock.tokens);
    same(stock, fixed);
    same(stock, moving);
    CHECK_EQUAL(fixed.copied(), 0u);
    CHECK(moving.copied() > 0);
}

// Every slot is taken, by the only copy of its expert, and next to nothing is in RAM: while experts change places at most one of a layer has no copy, which the CPU reads and computes.
void experts_change_places_on_full_devices(moebius_test::rpc_servers & machines) {
    const tiny           model(machines);
    const auto           prompt = prompt_of(600, 4);  // few experts are busy
    const device_outcome stock  = model.run(stock_run(32), prompt, 60);
    for (const std::vector<double> & budgets : std::vector<std::vector<double>>{ { 0.5, 0.5 }, { 0.25, 0.25, 0.25, 0.25 } }) {
        device_run            how;
        std::atomic<bool>     stopping{ false };
        std::atomic<uint32_t> most{ 0 };
        std::thread           watcher;
        how.batch     = 32;
        how.budgets   = budgets;
        how.ram       = 0;
        how.cpu_helps = false;
        how.before    = [&](loaded_experts & experts) {
            watcher = std::thread([&] {
                while (!stopping) {
                    for (const layer_placement & copies : experts.devices->tier.placement()) {
                        most = std::max<uint32_t>(most, uint32_t(std::count(copies.begin(), copies.end(), 0u)));
                    }
                    std::this_thread::sleep_for(std::chrono::microseconds(200));
                }
            });
        };
        how.after = [&](loaded_experts & experts) {
            stopping = true;
            watcher.join();
            for (const double seconds : experts.devices->tier.device_links()) {
                CHECK(seconds > 1e-7 && seconds < 0.1);
            }
            for (int i = 0; i < 500 && experts.devices->tier.moving() > 0; i++) {
                std::this_thread::sleep_for(std::chrono::milliseconds(10));
            }
        };
        const device_outcome result = model.run(how, prompt, 60, stock.tokens);
        same(stock, result);
        CHECK(result.copied() > 0);
        CHECK(most <= 1);
        for (const layer_placement & copies : result.copies) {
            CHECK_EQUAL(std::count(copies.begin(), copies.end(), 0u), 0);
        }
        std::fprintf(stderr, "%zu full devices: %llu copies made, %u expert of a layer without one at most, %llu of %llu uses on the CPU\n", budgets.size(),
                     (unsigned long long) result.copied(), most.load(), (unsigned long long) result.on_cpu, (unsigned long long) (result.on_cpu + result.on_devices()));
    }
}

void the_busiest_experts_are_on_a_small_device(moebius_test::rpc_servers & machines) {
    const tiny           model(machines);
    const auto           prompt = prompt_of(600, 4);  // few experts are busy
    const device_outcome stock  = model.run(stock_run(32), prompt, 20);
    device_run           how;
    how.batch                   = 32;
    how.budgets                 = { 0.25 };
    how.cpu_helps               = false;
    const device_outcome moving = model.run(how, prompt, 20, stock.tokens);
    how.adapts                  = false;
    const device_outcome fixed  = model.run(how, prompt, 20, stock.tokens);
    same(stock, moving);
    std::fprintf(stderr, "on the device: %llu while copies move, %llu where they stay\n", (unsigned long long) moving.on_devices(), (unsigned long long) fixed.on_devices());
    CHECK(moving.on_devices() > fixed.on_devices() * 5 / 4);
}

// In batches of a prompt, where the CPU would take longer; for single tokens it does not pay.
void devices_fetch_what_they_lack(moebius_test::rpc_servers & machines) {
    const tiny           model(machines);
    const auto           prompt = prompt_of(1000);
    const device_outcome stock  = model.run(stock_run(256), prompt, 20);
    device_run           how;
    how.batch                     = 256;
    how.budgets                   = { 0.25, 0.25 };
    how.adapts                    = false;
    const device_outcome fetching = model.run(how, prompt, 20, stock.tokens);
    how.fetches                   = false;
    const device_outcome staying  = model.run(how, prompt, 20, stock.tokens);
    same(stock, fetching);
    same(stock, staying);
    CHECK(fetching.fetched() > 0);
    CHECK_EQUAL(staying.fetched(), 0u);
    for (const fetch_counters & device : fetching.fetches) {
        CHECK_EQUAL(device.bytes, device.experts * device_slot_bytes(model.layout) / model.layout.layers.size());
        CHECK(device.tokens >= device.experts);
    }
}

void same_tokens_while_everything_changes(moebius_test::rpc_servers & machines) {
    const tiny           model(machines);
    const auto           prompt = prompt_of(1000);
    const device_outcome stock  = model.run(stock_run(128), prompt, 300);
    device_run           how;
    how.batch                   = 128;
    how.budgets                 = { 0.5, 0.2, 0.3 };
    how.ram                     = 0.3;
    how.storm                   = true;
    const device_outcome result = model.run(how, prompt, 300, stock.tokens);
    same(stock, result);
    CHECK(result.changes > 5);
    CHECK(result.on_devices() > 0 && result.on_cpu > 0);
}

// Copies come from the ring or, mostly, from the file.
void same_tokens_with_the_rest_in_a_ring(moebius_test::rpc_servers & machines) {
    const tiny           model(machines);
    const auto           prompt = prompt_of(300);
    const device_outcome stock  = model.run(stock_run(64), prompt, 100);
    device_run           how;
    how.batch   = 64;
    how.budgets = { 0.4, 0.3 };
    how.ring    = true;
    for (const double ram : { 0.0, 0.3 }) {  // 0: its least
        how.ram                     = ram;
        how.storm                   = ram > 0;
        const device_outcome result = model.run(how, prompt, 100, stock.tokens);
        same(stock, result);
        CHECK(result.on_devices() > 0 && result.on_cpu > 0);
    }
}

void a_device_that_dies_takes_nothing_along(moebius_test::rpc_servers & machines) {
    const tiny           model(machines);
    const auto           prompt = prompt_of(100);
    const device_outcome stock  = model.run(stock_run(), prompt, 60);
    device_run           how;
    how.budgets                 = { 0.6, 0.6 };
    how.cpu_helps = how.fetches = false;  // nobody else has what the second one has
    how.before_step             = [&](uint32_t step) {
        if (step == 20) {
            machines.kill(1);
        }
    };
    const device_outcome result = model.run(how, prompt, 60, stock.tokens);
    same(stock, result);
    CHECK((result.lost == std::vector<bool>{ false, true }));
    CHECK(result.devices[1].tokens > 0 && result.on_cpu > 0);
}

// The other one is lost just then: its experts are spread over the slots that there will be, not over those that there were.
void a_device_is_lost_while_another_gets_smaller(moebius_test::rpc_servers & machines) {
    const tiny     model(machines);
    const uint64_t each = device_slot_bytes(model.layout);
    expert_store   store(model.layout, { expert_slots_least_bytes(model.layout), "lru", 1, {} });
    device_tier    tier(store, model.layout, { { model.devices[0], each * 12 }, { model.devices[1], each * 12 } });
    CHECK(tier.fill([](uint64_t, uint64_t) { return true; }));
    tier.start();
    machines.pause(0);
    std::thread smaller([&] { tier.resize(device_room_for(model.layout, { each * 4, each * 12 })); });
    while (tier.copies(0) == tier.copies(1)) {  // until the first layer's are withdrawn: its new memory is waited for
        std::this_thread::yield();
    }
    tier.give_up(1);
    machines.resume(0);
    smaller.join();
    for (int i = 0; i < 50 || tier.moving() > 0; i++) {  // it decides anew
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    for (uint32_t layer = 0; layer < model.layout.layers.size(); layer++) {
        const layer_placement copies = tier.copies(layer);
        CHECK_EQUAL(tier.slots(layer, 0), 4u);
        CHECK_EQUAL(std::accumulate(copies.begin(), copies.end(), 0u), 4u);  // on device 0
    }
}

void times_are_counted(moebius_test::rpc_servers & machines) {
    const tiny model(machines);
    device_run how;
    how.budgets                 = { 0.5, 0.5 };
    how.cpu_helps = how.adapts = how.fetches = false;  // both have work
    const device_outcome result = model.run(how, prompt_of(100), 20);
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
    experts_change_places_on_full_devices(machines);
    the_busiest_experts_are_on_a_small_device(machines);
    devices_fetch_what_they_lack(machines);
    same_tokens_while_everything_changes(machines);
    same_tokens_with_the_rest_in_a_ring(machines);
    times_are_counted(machines);
    a_device_is_lost_while_another_gets_smaller(machines);
    a_device_that_is_too_small_says_so(machines);
    a_device_that_dies_takes_nothing_along(machines);  // the last: that machine is gone
    return moebius_test::check_result();
}
