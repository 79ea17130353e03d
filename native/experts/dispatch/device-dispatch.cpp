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

// The device has copies of experts that the batch uses.
bool can_compute(const layer_work & work, uint32_t device) {
    for (size_t e = 0; e < work.tokens.size(); e++) {
        if (work.tokens[e] > 0 && (work.placement[e] & (1u << device)) != 0) {
            return true;
        }
    }
    return false;
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

device_dispatch::device_dispatch(expert_storage & from, const std::vector<device_budget> & budgets, uint32_t tokens)
    : tier(from, from.layout(), budgets), source(from), tokens_most(tokens), record(uint32_t(from.layout().layers.size()), uint32_t(budgets.size()), cpu_cost_guess(from.layout())) {
    std::vector<uint64_t> bytes;
    for (const device_budget & budget : budgets) {
        lanes.emplace_back();
        bytes.push_back(budget.bytes);
    }
    ensure_ffns(bytes);
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
    const uint32_t slots = tier.device(device).count(of);
    return measure_device(*lanes[device].ffn, tier.device(device).id(), source.layout(), of, slots, std::min(slots, source.layout().used), tokens_most);
}

batch_cost device_dispatch::measure_fetching(uint32_t device) {
    const std::vector<bool> here   = source.here(0);
    const uint32_t          expert = uint32_t(std::find(here.begin(), here.end(), true) - here.begin());
    if (!lanes[device].fetcher || expert == here.size()) {
        return cpu_cost_guess(source.layout());
    }
    return measure_fetches(*lanes[device].fetcher, tier.device(device).id(), source.layout(), expert, tokens_most);
}

void device_dispatch::measure_all() {
    std::vector<double> speeds, links;
    for (uint32_t d = 0; d < lanes.size(); d++) {
        links.push_back(measure_link(tier.device(d), size_t(source.layout().layers[0].parts[0].n_in)));
        const batch_cost cost = measure(d), fetching_cost = measure_fetching(d);
        speeds.push_back(1 / (cost.per_expert + cost.per_token));
        record.set_costs(d, cost, fetching_cost);
    }
    tier.set_speeds(speeds, links);
}

std::vector<std::optional<batch_cost>> device_dispatch::fetch_costs() const {
    std::vector<std::optional<batch_cost>> all;
    for (uint32_t d = 0; d < lanes.size(); d++) {
        all.push_back(fetching && lanes[d].fetcher && !lanes[d].failed ? std::optional(record.fetch_cost(d)) : std::nullopt);
    }
    return all;
}

// --- a batch

void device_dispatch::start(expert_batch & batch, row_view input) {
    began = clock::now();
    layer = batch.layer;
    used  = batch.used;
    std::vector<uint32_t> tokens(source.layout().experts, 0);
    for (const int32_t id : batch.ids) {
        if (id >= 0) {
            tokens[size_t(id)]++;
        }
    }
    const device_placement placement = tier.begin(layer, tokens, { batch.ids, uint32_t(batch.used) });
    const device_placement lower     = low ? low->begin(batch, tokens) : device_placement();
    layer_work             work;
    work.tokens    = tokens;
    work.placement = placement.copies;
    for (size_t e = 0; low && e < tokens.size(); e++) {
        work.placement[e] = work.placement[e] == 0 ? lower.copies[e] : work.placement[e];
    }
    work.in_ram    = source.here(layer);
    work.devices   = record.costs();
    work.cpu       = work.devices.back();
    work.devices.pop_back();
    work.cpu_helps = helping;
    work.fetching  = fetch_costs();
    work.links     = tier.device_links();
    const std::vector<token_share> shares = schedule_layer(work);
    cpu_experts = cpu_tokens = 0;
    cpu_is_typical           = true;
    for (lane & device : lanes) {
        device.copies.clear();
        device.fetched.clear();
        device.low.clear();
        device.runs = device.low_runs = false;
    }
    for (const token_share & share : shares) {
        lane_work * const lane = work_of(share.device);
        (lane ? lane->experts : cpu_experts)++;
        (lane ? lane->tokens : cpu_tokens) += share.tokens;
        cpu_is_typical = cpu_is_typical && (lane || work.in_ram[share.expert]);
    }
    for (uint32_t d = 0; d < lanes.size(); d++) {
        if (lanes[d].copies.experts == 0 && can_compute(work, d)) {
            record.spared(d);
        }
    }
    assign(batch, shares, placement, lower);
    for (lane & device : lanes) {
        if (device.fetched.tokens > 0) {
            device.fetcher->start(layer, input, std::move(device.fetched.assignments));
        }
    }
    for (uint32_t d = 0; d < lanes.size(); d++) {
        start_copies(d, input);
    }
}

void device_dispatch::start_copies(uint32_t d, row_view input) {
    lane & device     = lanes[d];
    device.runs       = !device.copies.assignments.empty();
    device.low_runs   = !device.low.empty();
    device.low_tokens = uint32_t(device.low.size());
    if (device.runs) {
        device.failed = !device.ffn->start(layer, input, std::move(device.copies.assignments)) || device.failed;
    }
    if (device.low_runs) {
        device.failed = !low->ffn(d).start(layer, input, std::move(device.low)) || device.failed;
    }
}

// As schedule_layer counts devices; null: the CPU's.
device_dispatch::lane_work * device_dispatch::work_of(uint32_t device) {
    const uint32_t on_cpu = uint32_t(lanes.size());
    return device < on_cpu ? &lanes[device].copies : device == on_cpu ? nullptr : &lanes[device - on_cpu - 1].fetched;
}

void device_dispatch::assign(expert_batch & batch, const std::vector<token_share> & shares, const device_placement & placement, const device_placement & lower) {
    const std::vector<double> of_devices = tier.device_links();
    std::vector<double>       links(of_devices);  // as schedule_layer counts devices
    links.push_back(0);                           // to the CPU nothing is sent
    links.insert(links.end(), of_devices.begin(), of_devices.end());
    const std::vector<uint32_t> devices = assign_tokens({ batch.ids, uint32_t(batch.used) }, shares, links);
    for (uint32_t i = 0; i < batch.ids.size(); i++) {
        const int32_t     expert = batch.ids[i];
        const uint32_t    device = devices[i];
        lane_work * const lane   = expert < 0 ? nullptr : work_of(device);  // who is left out is nobody's
        if (lane) {
            const bool              copied = device < lanes.size(), full = copied && placement.copies[size_t(expert)] != 0;
            const device_assignment one{ uint32_t(int64_t(i) / batch.used), full ? placement.slots[device][size_t(expert)] : copied ? lower.slots[device][size_t(expert)] : 0, expert, batch.weights[i] };
            (copied && !full ? lanes[device].low : lane->assignments).push_back(one);  // a fetcher chooses its slots itself
            batch.ids[i] = -1;
        }
    }
}

// False: the CPU failed to compute what the device did not.
bool device_dispatch::collect(uint32_t device, bool done, device_batch & batch, row_view output, const on_cpu & compute) {
    if (!done) {
        if (!lanes[device].failed) {
            log_write(log_level::error, tier.device(device).id() + " failed; its experts are computed by the others from now on.");
        }
        lanes[device].failed = true;
        if (!compute(batch.as_batch(layer, used), batch.input(), batch.output())) {
            return false;
        }
    }
    batch.add_to(output);
    return true;
}

bool device_dispatch::finish_copies(uint32_t d, row_view output, const on_cpu & compute, double & busy) {
    lane & device = lanes[d];
    if (device.copies.tokens == 0) {
        return true;
    }
    const auto   before   = clock::now();
    const bool   done     = !device.runs || device.ffn->wait();
    const bool   low_done = !device.low_runs || low->ffn(d).wait();
    const double waited   = seconds_since(before), took = seconds_since(began);
    const double expected = record.costs()[d].of(device.copies.experts, device.copies.tokens);
    const bool   seen     = waited > took * 0.05;  // it ended while we looked
    busy = seen ? took : std::min(expected, took);
    if (done && low_done && (seen || expected > took)) {
        record.computed(d, device.copies.experts, device.copies.tokens, took);  // unseen: it took that long at most
    }
    const bool added = !device.runs || collect(d, done, device.ffn->batch, output, compute);
    return (!device.low_runs || collect(d, low_done, low->ffn(d).batch, output, compute)) && added;
}

bool device_dispatch::finish_fetched(uint32_t d, row_view output, const on_cpu & compute, double & busy) {
    lane & device = lanes[d];
    if (device.fetched.tokens == 0) {
        return true;
    }
    const bool done = device.fetcher->wait();
    const bool all  = collect(d, done, device.fetcher->batch, output, compute);
    busy = std::max(busy, device.fetcher->seconds());
    if (done) {
        uint64_t bytes = 0;
        for (const expert_part & part : source.layout().layers[layer].parts) {
            bytes += part.bytes;
        }
        record.fetched(d, { device.fetched.experts, device.fetched.experts * bytes, device.fetched.tokens }, device.fetcher->seconds());
    }
    return all;
}

bool device_dispatch::finish(row_view output, double cpu_seconds, const on_cpu & compute) {
    bool                  all = true;
    std::vector<double>   busy(lanes.size() + 1, 0.0);
    std::vector<uint32_t> tokens(lanes.size(), 0), low_tokens(lanes.size(), 0);
    busy.back() = cpu_experts > 0 ? cpu_seconds : 0;
    for (uint32_t d = 0; d < lanes.size(); d++) {
        tokens[d] = lanes[d].copies.tokens + lanes[d].fetched.tokens;
        low_tokens[d] = lanes[d].low_tokens;
        all       = finish_copies(d, output, compute, busy[d]) && all;
        all       = finish_fetched(d, output, compute, busy[d]) && all;
    }
    tier.end(layer, tokens);
    if (low) {
        low->end(layer, low_tokens);
    }
    for (uint32_t d = 0; d < lanes.size(); d++) {
        if (lanes[d].failed) {
            tier.give_up(d);
            if (low) {
                low->give_up(d);
            }
        }
    }
    record.ended(layer, busy, seconds_since(began), { cpu_experts, cpu_tokens, cpu_is_typical });
    return all;
}

}  // namespace moebius
