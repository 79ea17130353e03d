#include "dispatch-record.h"

namespace moebius {

dispatch_record::dispatch_record(uint32_t layers, uint32_t devices, const batch_cost & guess)
    : copies(devices, cost_model(guess)), fetching(devices, cost_model(guess)), cpu(guess), timed(layers, { 0, std::vector<double>(devices + 1, 0.0) }), counted(devices) {}

void dispatch_record::set_costs(uint32_t device, const batch_cost & of_copies, const batch_cost & of_fetched) {
    const std::lock_guard<std::mutex> lock(mutex);
    copies[device]   = cost_model(of_copies);
    fetching[device] = cost_model(of_fetched);
}

std::vector<batch_cost> dispatch_record::costs() const {
    const std::lock_guard<std::mutex> lock(mutex);
    std::vector<batch_cost>           all;
    for (const cost_model & device : copies) {
        all.push_back(device.estimate());
    }
    all.push_back(cpu.estimate());
    return all;
}

batch_cost dispatch_record::fetch_cost(uint32_t device) const {
    const std::lock_guard<std::mutex> lock(mutex);
    return fetching[device].estimate();
}

std::vector<layer_times> dispatch_record::times() const {
    const std::lock_guard<std::mutex> lock(mutex);
    return timed;
}

std::vector<fetch_counters> dispatch_record::fetches() const {
    const std::lock_guard<std::mutex> lock(mutex);
    return counted;
}

uint64_t dispatch_record::tokens_on_cpu() const {
    const std::lock_guard<std::mutex> lock(mutex);
    return counted_on_cpu;
}

void dispatch_record::computed(uint32_t device, uint32_t experts, uint32_t tokens, double seconds) {
    const std::lock_guard<std::mutex> lock(mutex);
    copies[device].observe(experts, tokens, seconds);
}

void dispatch_record::spared(uint32_t device) {
    const std::lock_guard<std::mutex> lock(mutex);
    copies[device].fade();
}

void dispatch_record::fetched(uint32_t device, const fetch_counters & what, double seconds) {
    const std::lock_guard<std::mutex> lock(mutex);
    fetching[device].observe(double(what.experts), double(what.tokens), seconds);
    counted[device].experts += what.experts;
    counted[device].bytes += what.bytes;
    counted[device].tokens += what.tokens;
}

void dispatch_record::ended(uint32_t layer, const std::vector<double> & busy, double seconds, const cpu_share & share) {
    const std::lock_guard<std::mutex> lock(mutex);
    if (share.is_typical && share.experts > 0 && busy.back() > 0) {
        cpu.observe(share.experts, share.tokens, busy.back());
    }
    counted_on_cpu += share.tokens;
    timed[layer].total += seconds;
    for (size_t i = 0; i < busy.size(); i++) {
        timed[layer].busy[i] += busy[i];
    }
}

}  // namespace moebius
