#include "step-forecast.h"

#include <algorithm>
#include <cmath>

namespace moebius {

namespace {

constexpr double few = 64;  // experts; of more, the mean number of misses says enough

double share_of(const expert_step & step, size_t device) {
    return device < step.share.size() ? step.share[device] : 0.0;
}

double cpu_seconds(const expert_step & step, double experts, double missing) {
    const double tokens = step.experts > 0 ? step.tokens / step.experts : 0.0;  // of an expert
    return cpu_with_disk(step.costs[0], step.read, experts, experts * tokens, missing);
}

double mean_cpu_seconds(const expert_step & step) {
    const double experts = step.experts * share_of(step, 0);
    const double chance  = experts > 0 ? std::clamp(step.experts * step.missing / experts, 0.0, 1.0) : 0.0;
    if (experts > few || chance == 0 || chance == 1) {
        return cpu_seconds(step, experts, experts * chance);
    }
    const int count    = std::max(1, int(std::lround(experts)));
    double    expected = 0;
    double    weight   = std::pow(1 - chance, count);  // of no miss; then of one more each time
    for (int misses = 0; misses <= count; misses++) {
        expected += weight * cpu_seconds(step, experts, misses * experts / count);
        weight *= double(count - misses) / double(misses + 1) * chance / (1 - chance);
    }
    return expected;
}

// What every resource has to do, in seconds of it.
class resources {
  public:
    explicit resources(const std::vector<device_rates> & rig) : rig(rig), bandwidth(rig.size(), 0.0), compute(rig.size(), 0.0) {}

    void add(uint32_t device, double bytes, double flops) {
        bandwidth[device] += rig[device].bandwidth > 0 ? bytes / rig[device].bandwidth : 0.0;
        compute[device] += rig[device].flops > 0 ? flops / rig[device].flops : 0.0;
    }

    void add(const expert_step & step) {
        for (uint32_t d = 0; d < rig.size(); d++) {
            add(d, step.experts * share_of(step, d) * step.bytes, step.tokens * share_of(step, d) * step.flops);
        }
        disk += step.read.per_expert * step.experts * step.missing;
    }

    std::vector<step_limit> sorted(double link, double overhead) const {
        std::vector<step_limit> limits{ { "disk", disk }, { "link", link }, { "overhead", overhead } };
        for (size_t d = 0; d < rig.size(); d++) {
            limits.push_back({ (d == 0 ? "RAM" : rig[d].id) + " bandwidth", bandwidth[d] });
            limits.push_back({ rig[d].id + " compute", compute[d] });
        }
        limits.erase(std::remove_if(limits.begin(), limits.end(), [](const step_limit & limit) { return !(limit.seconds > 0); }), limits.end());
        std::stable_sort(limits.begin(), limits.end(), [](const step_limit & a, const step_limit & b) { return a.seconds > b.seconds; });
        return limits;
    }

  private:
    const std::vector<device_rates> & rig;
    std::vector<double>               bandwidth, compute;  // [devices] seconds
    double                            disk = 0;
};

}  // namespace

double device_rates::seconds_for(double bytes, double operations) const {
    const double reading   = bandwidth > 0 ? bytes / bandwidth : 0.0;
    const double computing = flops > 0 ? operations / flops : 0.0;
    return std::max(reading, computing) + node_seconds;
}

batch_cost device_rates::expert_cost(double bytes, double operations) const {
    constexpr double nodes = 8;  // gate, up, swiglu, down, weighting, sum, and what brings input and output over
    return { nodes * node_seconds, bandwidth > 0 ? bytes / bandwidth : 0.0, flops > 0 ? operations / flops : 0.0 };
}

double expert_seconds(const expert_step & step) {
    if (step.seconds) {
        return *step.seconds;
    }
    double longest = mean_cpu_seconds(step);
    for (size_t d = 1; d < step.costs.size(); d++) {
        longest = std::max(longest, step.costs[d].of(step.experts * share_of(step, d), step.tokens * share_of(step, d)));
    }
    return longest;
}

double slowest_link(const std::vector<device_rates> & rig) {
    double slowest = 0;
    for (const device_rates & device : rig) {
        slowest = device.link > 0 && (slowest == 0 || device.link < slowest) ? device.link : slowest;
    }
    return slowest;
}

step_forecast forecast_step(const step_work & work, const std::vector<device_rates> & rig) {
    resources     used(rig);
    step_forecast forecast;
    double        overhead = work.overhead, link = 0;
    for (const step_part & part : work.parts) {
        forecast.seconds += part.count * part.seconds;
        overhead += part.count * rig[part.device].node_seconds;
        used.add(part.device, part.count * part.bytes, part.count * part.flops);
    }
    for (const expert_step & step : work.experts) {
        forecast.seconds += expert_seconds(step);
        used.add(step);
        double fixed = 0;  // devices begin side by side
        for (size_t d = 0; d < step.costs.size(); d++) {
            fixed = std::max(fixed, share_of(step, d) > 0 ? step.costs[d].fixed : 0.0);
        }
        overhead += fixed;
    }
    const double slowest = slowest_link(rig);
    link = slowest > 0 ? work.moved / slowest : 0.0;
    forecast.seconds += work.overhead + link;
    forecast.limits = used.sorted(link, overhead);
    return forecast;
}

double distinct_experts(double experts, double used, double tokens) {
    return experts <= 0 ? 0.0 : experts * (1 - std::pow(1 - std::min(1.0, used / experts), tokens));
}

}  // namespace moebius
