// What batches cost on the devices and the CPU, as measured and learnt on, and what they took. Any thread.
#pragma once

#include "experts/policy/cost-model.h"

#include <cstdint>
#include <mutex>
#include <vector>

namespace moebius {

// Of one layer, since it was loaded: seconds in which batches were computed, and of them those in which each device and, last, the
// CPU was busy (a device that ends before the CPU asks counts as its cost model says).
struct layer_times {
    double              total = 0;
    std::vector<double> busy;
};

// Experts that a device had no copy of and computed all the same.
struct fetch_counters {
    uint64_t experts = 0, bytes = 0;  // that were copied there, each for one batch
    uint64_t tokens  = 0;             // one for each token and expert
};

// What the CPU computed of a batch.
struct cpu_share {
    uint32_t experts = 0, tokens = 0;
    bool     is_typical = true;  // it waited for no disk
};

class dispatch_record {
  public:
    // guess: what holds for everybody before anything was measured.
    dispatch_record(uint32_t layers, uint32_t devices, const batch_cost & guess);

    // As measured; what was learnt is forgotten. copies: experts that the device has; fetched: those that it gets for one batch.
    void set_costs(uint32_t device, const batch_cost & copies, const batch_cost & fetched);

    std::vector<batch_cost>     costs() const;  // [devices] with copies, the CPU last
    batch_cost                  fetch_cost(uint32_t device) const;
    std::vector<layer_times>    times() const;          // [layers]
    std::vector<fetch_counters> fetches() const;        // [devices]
    uint64_t                    tokens_on_cpu() const;  // assignments that the CPU computed

    // --- of one batch in one layer

    void computed(uint32_t device, uint32_t experts, uint32_t tokens, double seconds);
    void spared(uint32_t device);  // it had copies, but others were thought to be sooner
    void fetched(uint32_t device, const fetch_counters & what, double seconds);
    // busy: [devices + 1], seconds; the CPU last.
    void ended(uint32_t layer, const std::vector<double> & busy, double seconds, const cpu_share & cpu);

  private:
    mutable std::mutex          mutex;
    std::vector<cost_model>     copies, fetching;  // [devices]
    cost_model                  cpu;
    std::vector<layer_times>    timed;
    std::vector<fetch_counters> counted;
    uint64_t                    counted_on_cpu = 0;
};

}  // namespace moebius
