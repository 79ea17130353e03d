#include "device-dispatch.h"

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

device_dispatch::device_dispatch(device_tier & of, expert_source & from, uint32_t tokens)
    : tier(of), source(from), tokens_most(tokens), work(of.size()), counts(of.size(), 0), device_cost(of.size()), cpu(cpu_cost_guess(from.layout())) {
    for (uint32_t d = 0; d < tier.size(); d++) {
        ffns.push_back(std::make_unique<device_ffn>(tier.device(d), source.layout(), tokens));
        device_cost[d] = cpu_cost_guess(source.layout());
    }
}

// --- costs

// Median of several batches in which each of some experts has the same number of tokens.
double device_dispatch::seconds_for(uint32_t device, uint32_t layer, uint32_t experts, uint32_t tokens) {
    constexpr int                  runs   = 5;
    const size_t                   n_embd = size_t(source.layout().layers[layer].parts[0].n_in);
    std::vector<float>             input(n_embd * tokens, 0.1f), output(n_embd * tokens);
    const row_view                 from{ reinterpret_cast<char *>(input.data()), n_embd * sizeof(float) }, to{ reinterpret_cast<char *>(output.data()), from.stride };
    std::vector<device_assignment> assignments;
    for (uint32_t t = 0; t < tokens; t++) {
        for (uint32_t e = 0; e < experts; e++) {
            assignments.push_back({ t, e, 1.0f });
        }
    }
    std::vector<double> times;
    for (int i = 0; i <= runs; i++) {
        const auto begin = std::chrono::steady_clock::now();
        if (!ffns[device]->start(layer, from, assignments) || !ffns[device]->finish(to)) {
            throw user_error("model.load-failed", tier.device(device).id() + " failed to compute with experts.", { { "device", tier.device(device).id() } });
        }
        if (i > 0) {  // the first may compile shaders
            times.push_back(seconds_since(begin));
        }
    }
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
}

// From three batches: one expert, several, several with many tokens each.
batch_cost device_dispatch::measure(uint32_t device) {
    uint32_t layer = 0;
    while (layer < source.layout().layers.size() && tier.device(device).count(layer) == 0) {
        layer++;
    }
    if (layer == source.layout().layers.size()) {
        return device_cost[device];  // it has none
    }
    const uint32_t experts = std::min(tier.device(device).count(layer), source.layout().used);
    const uint32_t tokens  = std::clamp(tokens_most, 2u, 32u);
    const double   one     = seconds_for(device, layer, 1, 1);
    const double   several = seconds_for(device, layer, experts, 1);
    const double   many    = seconds_for(device, layer, experts, tokens);
    batch_cost     cost;
    cost.per_token  = std::max((many - several) / (experts * (tokens - 1)), 1e-9);
    cost.per_expert = experts > 1 ? std::max((several - one) / (experts - 1) - cost.per_token, 0.0) : 0;
    cost.fixed      = std::max(one - cost.per_expert - cost.per_token, 0.0);
    return cost;
}

void device_dispatch::measure() {
    std::vector<double> speeds;
    for (uint32_t d = 0; d < tier.size(); d++) {
        const batch_cost cost = measure(d);
        {
            const std::lock_guard<std::mutex> lock(mutex);
            device_cost[d] = cost;
        }
        speeds.push_back(1 / (cost.per_expert + cost.per_token));
    }
    tier.set_speeds(speeds);
}

std::vector<batch_cost> device_dispatch::costs() const {
    const std::lock_guard<std::mutex> lock(mutex);
    std::vector<batch_cost>           all = device_cost;
    all.push_back(cpu.estimate());
    return all;
}

// --- a batch

bool device_dispatch::start(expert_batch & batch, row_view input) {
    layer = batch.layer;
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
    cpu_is_typical = true;
    for (const token_share & share : schedule_layer(tokens, placement.copies, all, of_cpu, takes ? here : std::vector<bool>(here.size(), false))) {
        shares[share.expert].push_back(share);
        if (share.device == tier.size()) {
            cpu_experts++;
            cpu_tokens += share.tokens;
            cpu_is_typical = cpu_is_typical && here[share.expert];
        }
    }
    assign(batch, shares, placement);
    bool all_started = true;
    for (uint32_t d = 0; d < tier.size(); d++) {
        counts[d] = uint32_t(work[d].size());
        if (counts[d] > 0) {
            all_started = ffns[d]->start(layer, input, std::move(work[d])) && all_started;
        }
    }
    return all_started;
}

void device_dispatch::assign(expert_batch & batch, std::vector<shares_of_expert> & shares, const device_placement & placement) {
    for (auto & assignments : work) {
        assignments.clear();
    }
    for (size_t i = 0; i < batch.ids.size(); i++) {
        const uint32_t     expert = uint32_t(batch.ids[i]);
        shares_of_expert & left   = shares[expert];
        const uint32_t     device = left.back().device;
        if (--left.back().tokens == 0) {
            left.pop_back();
        }
        if (device < tier.size()) {
            work[device].push_back({ uint32_t(int64_t(i) / batch.used), placement.slots[device][expert], batch.weights[i] });
            batch.ids[i] = -1;
        }
    }
}

bool device_dispatch::finish(row_view output, double cpu_seconds) {
    bool all = true;
    for (uint32_t d = 0; d < tier.size(); d++) {
        if (counts[d] > 0) {
            all = ffns[d]->finish(output) && all;
        }
    }
    tier.end(layer, counts);
    if (cpu_is_typical && cpu_experts > 0 && cpu_seconds > 0) {
        const std::lock_guard<std::mutex> lock(mutex);
        cpu.observe(cpu_experts, cpu_tokens, cpu_seconds);
    }
    return all;
}

void device_dispatch::set_takes_over(bool next) {
    takes = next;
}

}  // namespace moebius
