// Lossy modes while devices compute with copies of experts: who is left out is nobody's work, and who is in fewer bits is the CPU's.
#include "device-runs.h"
#include "lossy-runs.h"
#include "rpc-servers.h"

using namespace moebius_test;

namespace {

std::vector<llama_token> some_tokens(uint32_t count) {
    std::vector<llama_token> tokens(count);
    std::mt19937             random(7);
    for (llama_token & token : tokens) {
        token = llama_token(10 + random() % 4000);
    }
    return tokens;
}

// A small part of the experts in RAM, other small parts on two devices, the rest on disk only.
device_run small_rig() {
    device_run how;
    how.ram     = 0.1;
    how.budgets = { 0.2, 0.15 };
    how.batch   = 16;
    how.fetches = false;
    return how;
}

double largest_of(const device_outcome & a, const device_outcome & b) {
    double most = 0;
    for (size_t step = 0; step < a.logits.size(); step++) {
        for (size_t i = 0; i < a.logits[step].size(); i++) {
            most = std::max(most, std::abs(double(a.logits[step][i]) - double(b.logits[step][i])));
        }
    }
    return most;
}

// Every assignment is counted once: on a device, on the CPU, in fewer bits or left out.
void all_work_is_somebodys(rpc_servers & machines, bool with_low_copies) {
    const device_runs model(MOEBIUS_TINY_MODEL, machines.devices());
    lossy_status      status;
    device_run        how = small_rig();
    if (with_low_copies) {
        how.low = low_precision_choice{ GGML_TYPE_Q4_0, 0.5 };
    }
    uint64_t warmup = 0;  // of a context that has just been made
    how.before      = [&](loaded_experts & experts) {
        for (const device_counters & device : experts.devices->tier.counters()) {
            warmup += device.tokens;
        }
        warmup += experts.devices->seen().tokens_on_cpu();
        set(experts, model.file, std::nullopt, std::vector<double>(model.layout.layers.size(), 0.0));
    };
    how.after = [&](loaded_experts & experts) { status = experts.lossy.status(); };
    const auto                 tokens = some_tokens(48);
    const device_outcome       result = model.run(how, tokens, 40);
    const lossy_layer_counters sum    = total_of(status);
    uint64_t                   low    = 0;
    for (const uint64_t on : with_low_copies ? result.low->tokens : std::vector<uint64_t>()) {
        low += on;
    }
    CHECK(sum.skipped > 50);
    CHECK(result.on_devices() > 50 && result.on_cpu > 50);
    CHECK_EQUAL(result.on_devices() + result.on_cpu + low + sum.skipped - warmup, sum.assignments);
    for (const std::vector<float> & step : result.logits) {
        CHECK(std::all_of(step.begin(), step.end(), [](float value) { return std::isfinite(value); }));
    }
}

// The model's experts have so few bits already that copies in fewer are the same: nothing may change but the order of sums.
void substitutes_add_to_what_devices_compute(rpc_servers & machines) {
    const folder      here("moebius-lossy-devices-test");
    const device_runs model(low_bit_model(here, GGML_TYPE_Q2_K), machines.devices());
    const auto        tokens = some_tokens(48);
    device_run        stock;
    stock.stock                   = true;
    stock.batch                   = 16;
    const device_outcome expected = model.run(stock, tokens, 40);
    lossy_status         status;
    device_run           how = small_rig();
    how.ram                  = 0.2;  // copies take some of it
    how.before               = [&](loaded_experts & experts) {
        set(experts, model.file, 0.0);
        wait_until_ready(experts);
    };
    how.after                   = [&](loaded_experts & experts) { status = experts.lossy.status(); };
    const device_outcome result = model.run(how, tokens, 40, expected.tokens);
    CHECK(total_of(status).low > 50 && result.on_devices() > 50 && result.on_cpu > 50);
    CHECK(largest_of(result, expected) < 1e-3);
}

}  // namespace

int main() {
    start_llama();
    rpc_servers machines(2);
    all_work_is_somebodys(machines, false);
    all_work_is_somebodys(machines, true);
    substitutes_add_to_what_devices_compute(machines);
    return check_result();
}
