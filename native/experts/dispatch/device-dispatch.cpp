#include "device-dispatch.h"

#include "device-cost.h"
#include "rpc/log.h"

#include <algorithm>
#include <chrono>

namespace moebius {

namespace {

// What the CPU needs for an expert before any was timed: its weights once through memory.
batch_cost cpu_cost_guess(const expert_layout & layout) {
    constexpr double bytes_a_second = 10e9;
    double           bytes          = 0;
    for (const expert_part & part : layout.layers[0].parts) {
        bytes += double(part.bytes);
    }
    return { 20e-6, bytes / bytes_a_second, bytes / bytes_a_second / 2 };
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

device_dispatch::device_dispatch(expert_storage & from, const std::vector<device_budget> & budgets, uint32_t tokens)
    : tier(from, budgets), source(from), tokens_most(tokens), cpu(cpu_cost_guess(from.layout())), timed(from.layout().layers.size()) {
    std::vector<uint64_t> bytes;
    for (const device_budget & budget : budgets) {
        lanes.push_back({ nullptr, {}, 0, 0, false, cost_model(cpu_cost_guess(source.layout())) });
        bytes.push_back(budget.bytes);
    }
    for (layer_times & times : timed) {
        times.busy.assign(lanes.size() + 1, 0.0);
    }
    ensure_ffns(bytes);
}

void device_dispatch::ensure_ffns(const std::vector<uint64_t> & bytes) {
    for (uint32_t d = 0; d < lanes.size(); d++) {
        if (bytes[d] > 0 && !lanes[d].ffn) {
            lanes[d].ffn = std::make_unique<device_ffn>(tier.device(d), source.layout(), tokens_most);
        }
    }
}

bool device_dispatch::begin(const std::function<bool(uint64_t, uint64_t)> & go_on) {
    if (!tier.fill(go_on)) {
        return false;
    }
    measure_all();
    tier.start();
    return true;
}

// --- costs

batch_cost device_dispatch::measure(uint32_t device) {
    uint32_t of = 0;
    while (of < source.layout().layers.size() && tier.device(device).count(of) == 0) {
        of++;
    }
    if (of == source.layout().layers.size()) {
        return cpu_cost_guess(source.layout());  // it has none
    }
    const uint32_t experts = std::min(tier.device(device).count(of), source.layout().used);
    return measure_device(*lanes[device].ffn, tier.device(device).id(), source.layout(), of, experts, tokens_most);
}

void device_dispatch::measure_all() {
    std::vector<double> speeds;
    for (uint32_t d = 0; d < lanes.size(); d++) {
        const batch_cost cost = measure(d);
        speeds.push_back(1 / (cost.per_expert + cost.per_token));
        const std::lock_guard<std::mutex> lock(mutex);
        lanes[d].cost = cost_model(cost);
    }
    tier.set_speeds(speeds);
}

std::vector<batch_cost> device_dispatch::costs() const {
    const std::lock_guard<std::mutex> lock(mutex);
    std::vector<batch_cost>           all;
    for (const lane & device : lanes) {
        all.push_back(device.cost.estimate());
    }
    all.push_back(cpu.estimate());
    return all;
}

// --- a batch

void device_dispatch::start(expert_batch & batch, row_view input) {
    began = clock::now();
    layer = batch.layer;
    used  = batch.used;
    std::vector<uint32_t> tokens(source.layout().experts, 0);
    for (const int32_t id : batch.ids) {
        tokens[size_t(id)]++;
    }
    const device_placement  placement = tier.begin(layer, tokens);
    const std::vector<bool> here      = source.here(layer);
    std::vector<batch_cost> all       = costs();
    const batch_cost        of_cpu    = all.back();
    all.pop_back();
    std::vector<shares_of_expert> shares(tokens.size());
    cpu_experts = cpu_tokens = 0;
    cpu_is_typical           = true;
    for (lane & device : lanes) {
        device.experts = device.tokens = 0;
        device.failed                  = false;
        device.work.clear();
    }
    for (const token_share & share : schedule_layer(tokens, placement.copies, all, of_cpu, helping ? here : std::vector<bool>(here.size(), false))) {
        shares[share.expert].push_back(share);
        const bool on_cpu = share.device == lanes.size();
        (on_cpu ? cpu_experts : lanes[share.device].experts)++;
        (on_cpu ? cpu_tokens : lanes[share.device].tokens) += share.tokens;
        cpu_is_typical = cpu_is_typical && (!on_cpu || here[share.expert]);
    }
    assign(batch, shares, placement);
    for (lane & device : lanes) {
        if (device.tokens > 0) {
            device.failed = !device.ffn->start(layer, input, std::move(device.work));
        }
    }
}

void device_dispatch::assign(expert_batch & batch, std::vector<shares_of_expert> & shares, const device_placement & placement) {
    for (uint32_t i = 0; i < batch.ids.size(); i++) {
        const int32_t      expert = batch.ids[i];
        shares_of_expert & left   = shares[size_t(expert)];
        const uint32_t     device = left.back().device;
        if (--left.back().tokens == 0) {
            left.pop_back();
        }
        if (device < lanes.size()) {
            lanes[device].work.push_back({ uint32_t(int64_t(i) / batch.used), placement.slots[device][size_t(expert)], expert, batch.weights[i] });
            batch.ids[i] = -1;
        }
    }
}

// False: the CPU failed to compute what the device did not.
bool device_dispatch::collect(uint32_t device, row_view output, const on_cpu & compute) {
    device_ffn & ffn = *lanes[device].ffn;
    if (lanes[device].failed || !ffn.wait()) {
        lanes[device].failed = true;
        log_write(log_level::error, tier.device(device).id() + " failed; its experts are computed by the others from now on.");
        if (!compute(ffn.as_batch(used), ffn.input(), ffn.output())) {
            return false;
        }
    }
    ffn.add_to(output);
    return true;
}

bool device_dispatch::finish(row_view output, double cpu_seconds, const on_cpu & compute) {
    bool                    all   = true;
    std::vector<batch_cost> known = costs();
    std::vector<double>     busy(lanes.size() + 1, 0.0);
    std::vector<uint32_t>   tokens(lanes.size(), 0);
    busy.back() = cpu_experts > 0 ? cpu_seconds : 0;
    for (uint32_t d = 0; d < lanes.size(); d++) {
        lane & device = lanes[d];
        if (device.tokens == 0) {
            continue;
        }
        tokens[d]         = device.tokens;
        const auto before = clock::now();
        all               = collect(d, output, compute) && all;
        const double waited = seconds_since(before), took = seconds_since(began);
        const bool   seen   = waited > took * 0.05;  // it ended while we looked
        busy[d]             = seen ? took : std::min(known[d].of(device.experts, device.tokens), took);
        if (seen && !device.failed) {
            const std::lock_guard<std::mutex> lock(mutex);
            device.cost.observe(device.experts, device.tokens, took);
        }
    }
    tier.end(layer, tokens);
    for (uint32_t d = 0; d < lanes.size(); d++) {
        if (lanes[d].failed) {
            tier.give_up(d);
        }
    }
    count(busy, seconds_since(began));
    return all;
}

void device_dispatch::count(const std::vector<double> & busy, double total) {
    const std::lock_guard<std::mutex> lock(mutex);
    if (cpu_is_typical && cpu_experts > 0 && busy.back() > 0) {
        cpu.observe(cpu_experts, cpu_tokens, busy.back());
    }
    counted_on_cpu += cpu_tokens;
    timed[layer].total += total;
    for (size_t i = 0; i < busy.size(); i++) {
        timed[layer].busy[i] += busy[i];
    }
}

std::vector<layer_times> device_dispatch::times() const {
    const std::lock_guard<std::mutex> lock(mutex);
    return timed;
}

uint64_t device_dispatch::tokens_on_cpu() const {
    const std::lock_guard<std::mutex> lock(mutex);
    return counted_on_cpu;
}

void device_dispatch::resize(const std::vector<uint64_t> & bytes) {
    {
        const std::lock_guard<std::mutex> between_batches(source.session);
        ensure_ffns(bytes);
    }
    tier.resize(bytes);
}

}  // namespace moebius
