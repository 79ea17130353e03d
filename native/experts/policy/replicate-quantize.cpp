#include "replicate-quantize.h"

#include "replica-counts.h"
#include "replica-improvement.h"
#include "replica-placement.h"

#include <algorithm>
#include <numeric>

namespace moebius {

namespace {

bool has_to_stay(const std::vector<bool> & stay, size_t expert) {
    return !stay.empty() && stay[expert];
}

std::vector<uint32_t> by_importance(const std::vector<double> & importance) {
    std::vector<uint32_t> order(importance.size());
    std::iota(order.begin(), order.end(), 0u);
    std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return importance[a] < importance[b]; });
    return order;
}

// Slots in low precision over devices: where they cost no slot in full precision, in what is left over of a budget; then so many together on one device that they make room for one
// more, on devices in proportion to their budgets; and the rest where it costs least.
std::vector<uint32_t> low_slots_for(const precision_request & request, uint32_t count) {
    const uint64_t        full = request.full_bytes, low = request.low_bytes;
    std::vector<uint32_t> slots(request.bytes.size(), 0);
    const auto            left = [&](size_t d, uint32_t more) { return int64_t(request.bytes[d]) - int64_t((slots[d] + more) * low); };
    const auto            costs = [&](size_t d) { return left(d, 0) / int64_t(full) - left(d, 1) / int64_t(full); };
    const auto            give  = [&](uint32_t together, bool free, const auto & better) {
        size_t best = slots.size();
        for (size_t d = 0; d < slots.size(); d++) {
            best = left(d, together) >= 0 && (!free || costs(d) == 0) && (best == slots.size() || better(d, best)) ? d : best;
        }
        if (best < slots.size()) {
            slots[best] += together;
            count -= together;
        }
        return best < slots.size();
    };
    const auto larger   = [&](size_t a, size_t b) { return double(request.bytes[a]) * (slots[b] + 1) > double(request.bytes[b]) * (slots[a] + 1); };
    const auto cheaper  = [&](size_t a, size_t b) { return costs(a) != costs(b) ? costs(a) < costs(b) : larger(a, b); };
    const auto together = low < full ? uint32_t((full + (full - low) - 1) / (full - low)) : count + 1;
    while (count > 0 && give(1, true, larger)) {
    }
    while (count >= together && give(together, false, larger)) {
    }
    while (count > 0 && give(1, false, cheaper)) {
    }
    return slots;
}

// Copies of some experts, as many as have room: the busiest ones. The others get none.
void pack(const precision_request & request, const std::vector<uint32_t> & slots, std::vector<uint32_t> experts, layer_placement & into) {
    const layer_rig rig{ request.speeds, slots, {} };
    const auto      load = [&](uint32_t e) { return request.loads[e]; };
    uint32_t        room = 0;
    for (const uint32_t count : slots) {
        room += uint32_t(std::min<size_t>(count, experts.size()));
    }
    std::stable_sort(experts.begin(), experts.end(), [&](uint32_t a, uint32_t b) { return load(a) > load(b); });
    experts.resize(std::min<size_t>(experts.size(), room));
    if (experts.empty()) {
        return;
    }
    std::vector<double> loads;
    for (const uint32_t e : experts) {
        loads.push_back(load(e));
    }
    constexpr double   uneven = 1.02;
    constexpr uint32_t steps  = 4;
    layer_placement    packed = place_packed(loads, replica_counts_proportional(loads, rig.total_slots(), rig.devices()), rig);
    if (imbalance({ loads }, packed, rig) > uneven) {
        packed = place_improved(std::move(packed), { loads }, rig, steps);
    }
    for (size_t i = 0; i < experts.size(); i++) {
        into[experts[i]] = packed[i];
    }
}

}  // namespace

uint32_t precision_plan::low_count() const {
    return uint32_t(std::count(low.begin(), low.end(), true));
}

std::vector<bool> least_important(const std::vector<double> & importance, const std::vector<bool> & stay, uint32_t count) {
    std::vector<bool> low(importance.size(), false);
    for (const uint32_t expert : by_importance(importance)) {
        if (count > 0 && !has_to_stay(stay, expert)) {
            low[expert] = true;
            count--;
        }
    }
    return low;
}

std::vector<bool> least_important_now(std::vector<bool> low, const std::vector<double> & importance, const std::vector<bool> & stay, double gain) {
    const std::vector<uint32_t> order   = by_importance(importance);
    uint32_t                    missing = 0;
    for (size_t e = 0; e < low.size(); e++) {
        if (low[e] && has_to_stay(stay, e)) {
            low[e] = false;
            missing++;
        }
    }
    auto out = order.rbegin();  // the most important first
    for (const uint32_t expert : order) {
        if (low[expert] || has_to_stay(stay, expert)) {
            continue;
        }
        if (missing > 0) {
            low[expert] = true;
            missing--;
            continue;
        }
        out = std::find_if(out, order.rend(), [&](uint32_t e) { return low[e]; });
        if (out == order.rend() || importance[expert] * gain >= importance[*out]) {
            break;
        }
        low[expert] = true;
        low[*out]   = false;
    }
    return low;
}

precision_plan plan_with(const precision_request & request, uint32_t count) {
    precision_plan plan;
    plan.low       = least_important(request.importance, request.stay, count);
    plan.low_slots = low_slots_for(request, plan.low_count());
    for (size_t d = 0; d < request.bytes.size(); d++) {
        const uint64_t left = request.bytes[d] - plan.low_slots[d] * request.low_bytes;
        plan.full_slots.push_back(uint32_t(std::min<uint64_t>(left / request.full_bytes, request.loads.size() - plan.low_count())));
    }
    return plan;
}

precision_forecast forecast(const precision_request & request, const precision_plan & plan) {
    std::vector<uint32_t> full, low;
    for (uint32_t e = 0; e < request.loads.size(); e++) {
        (plan.low[e] ? low : full).push_back(e);
    }
    layer_placement placement(request.loads.size(), 0);
    pack(request, plan.full_slots, full, placement);
    pack(request, plan.low_slots, low, placement);
    std::vector<double> loads = request.loads;
    precision_forecast  result;
    for (size_t e = 0; e < loads.size(); e++) {
        if (placement[e] == 0) {
            result.uncovered += std::exchange(loads[e], 0.0);
        }
    }
    result.makespan = split_makespan(loads, placement, request.speeds);
    return result;
}

precision_plan plan_precision(const precision_request & request) {
    constexpr double worth_it = 0.995;
    check_rig({ request.speeds, std::vector<uint32_t>(request.bytes.size(), 0) }, 0);
    constexpr uint32_t tries = 32;  // forecasts take a while
    const uint32_t     most = uint32_t(std::clamp(request.share, 0.0, 1.0) * double(request.loads.size()));
    precision_plan     best = plan_with(request, 0);
    precision_forecast now  = forecast(request, best);
    for (uint32_t count = 1; count <= most && request.low_bytes < request.full_bytes; count += std::max(most / tries, 1u)) {
        const precision_plan     plan = plan_with(request, count);
        const precision_forecast next = forecast(request, plan);
        const bool               covers_more = next.uncovered < now.uncovered * worth_it;
        if (plan.low_count() == count && (covers_more || (next.uncovered <= now.uncovered && next.makespan < now.makespan * worth_it))) {
            best = plan;
            now  = next;
        }
    }
    return best;
}

}  // namespace moebius
