#include "replica-placement.h"

#include "rpc/errors.h"

#include <algorithm>
#include <numeric>

namespace moebius {

namespace {

constexpr size_t candidates   = 6;     // experts that are tried in a step, on either side
constexpr double equally_good = 0.002; // share of the mean time of a device

bool has(device_set devices, uint32_t device) {
    return devices >> device & 1;
}

std::vector<uint32_t> by_falling(const std::vector<double> & values) {
    std::vector<uint32_t> order(values.size());
    std::iota(order.begin(), order.end(), 0u);
    std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return values[a] > values[b]; });
    return order;
}

// Tokens of an expert that go to a device anyway, if tokens of experts with several copies are spread evenly.
double drawn_to(uint32_t device, uint32_t expert, const layer_placement & placement, const tokens_in_common & common) {
    double sum = 0;
    for (uint32_t other = 0; other < placement.size(); other++) {
        if (other != expert && has(placement[other], device)) {
            sum += common(expert, other) / copies_of(placement[other]);
        }
    }
    return sum;
}

class packing {
  public:
    // slack: time within which devices are equally good
    packing(size_t experts, const layer_rig & rig, const tokens_in_common & common = {}, double slack = 0)
        : rig(rig), common(common), slack(slack), left(rig.slots), loads(rig.devices(), 0.0), placement(experts, 0) {}

    // false: no device has room for one more copy of it
    bool add(uint32_t expert, double load) {
        device_set possible = 0;
        for (uint32_t d = 0; d < rig.devices(); d++) {
            possible |= left[d] > 0 && !has(placement[expert], d) ? 1u << d : 0;
        }
        if (possible == 0) {
            return false;
        }
        const uint32_t best = choose(possible, expert, load, 1);
        placement[expert] |= 1u << best;
        loads[best] += load;
        left[best]--;
        return true;
    }

    // Begins with copies that are there. loads: per copy.
    void keep(const layer_placement & there, const std::vector<double> & each) {
        placement = there;
        for (size_t i = 0; i < there.size(); i++) {
            for (uint32_t d = 0; d < rig.devices(); d++) {
                if (has(there[i], d)) {
                    loads[d] += each[i];
                    left[d]--;
                }
            }
        }
    }

    void remove_from_busiest(uint32_t expert, double load) {
        const uint32_t worst = choose(placement[expert], expert, 0, -1);
        placement[expert] &= ~(1u << worst);
        loads[worst] -= load;
        left[worst]++;
    }

    layer_placement take() { return std::move(placement); }

  private:
    double after(uint32_t device, double load) const { return (loads[device] + load) / rig.speeds[device]; }

    // Of some devices the least busy one to which most of the expert's tokens go (sign 1), or the busiest one to which the fewest go (-1).
    uint32_t choose(device_set possible, uint32_t expert, double load, double sign) const {
        uint32_t best = rig.devices();
        for (uint32_t d = 0; d < rig.devices(); d++) {
            if (has(possible, d) && (best == rig.devices() || sign * after(d, load) < sign * after(best, load))) {
                best = d;
            }
        }
        if (!common) {
            return best;
        }
        const double limit = sign * after(best, load) + slack;
        double       most  = sign * drawn_to(best, expert, placement, common);
        for (uint32_t d = 0; d < rig.devices(); d++) {
            const bool   equal = has(possible, d) && sign * after(d, load) <= limit;
            const double drawn = equal ? sign * drawn_to(d, expert, placement, common) : most;
            if (drawn > most) {
                most = drawn;
                best = d;
            }
        }
        return best;
    }

    const layer_rig &     rig;
    tokens_in_common      common;
    double                slack;
    std::vector<uint32_t> left;
    std::vector<double>   loads;
    layer_placement       placement;
};

// Slots that are left get more copies of the busiest experts.
void fill(packing & packed, const std::vector<uint32_t> & order, const std::vector<double> & each) {
    for (bool added = true; added;) {
        added = false;
        for (const uint32_t expert : order) {
            added = packed.add(expert, each[expert]) || added;
        }
    }
}

std::vector<double> mean_of(const std::vector<std::vector<double>> & samples) {
    std::vector<double> mean(samples.front().size(), 0.0);
    for (const auto & sample : samples) {
        for (size_t i = 0; i < mean.size(); i++) {
            mean[i] += sample[i] / double(samples.size());
        }
    }
    return mean;
}

// On a device the copy of one expert makes room for one of another.
struct exchange {
    uint32_t device = 0, leaves = 0, comes = 0;
    double   imbalance = 0;  // with it

    layer_placement in(layer_placement placement) const {
        placement[leaves] &= ~(1u << device);
        placement[comes] |= 1u << device;
        return placement;
    }
};

// The one with the least imbalance, or of several that are as good the one that brings more tokens together.
exchange best_exchange(const std::vector<exchange> & all, const layer_placement & placement, const tokens_in_common & common) {
    constexpr double as_good = 1e-4;
    exchange         best    = *std::min_element(all.begin(), all.end(), [](const exchange & a, const exchange & b) { return a.imbalance < b.imbalance; });
    if (!common) {
        return best;
    }
    const double limit = best.imbalance + as_good;
    const auto   gain  = [&](const exchange & one) {
        const layer_placement next = one.in(placement);
        return drawn_to(one.device, one.comes, next, common) - drawn_to(one.device, one.leaves, placement, common);
    };
    double most = gain(best);
    for (const exchange & one : all) {
        const double own = one.imbalance <= limit ? gain(one) : most;
        if (own > most) {
            most = own;
            best = one;
        }
    }
    return best;
}

// The set of devices that is slowest, over the sample in which it is slowest.
device_set bottleneck(const std::vector<std::vector<double>> & samples, const layer_placement & placement, const layer_rig & rig) {
    device_set worst   = 0;
    double     longest = -1;
    for (const auto & sample : samples) {
        device_set   tight = 0;
        const double total = std::accumulate(sample.begin(), sample.end(), 0.0);
        const double time  = split_makespan(sample, placement, rig.speeds, &tight);
        if (total > 0 && time / total > longest) {
            longest = time / total;
            worst   = tight;
        }
    }
    return worst;
}

}  // namespace

uint32_t layer_rig::total_slots() const {
    return std::accumulate(slots.begin(), slots.end(), 0u);
}

void check_rig(const layer_rig & rig, uint32_t experts) {
    const bool good = !rig.speeds.empty() && rig.speeds.size() <= devices_most && rig.slots.size() == rig.speeds.size() &&
                      std::all_of(rig.speeds.begin(), rig.speeds.end(), [](double speed) { return speed > 0; });
    if (!good) {
        throw user_error("request.invalid", "A rig has 1 to " + std::to_string(devices_most) + " devices, each with a speed above 0 and a number of slots.",
                         { { "devices", rig.speeds.size() } });
    }
    uint64_t useful = 0;
    for (const uint32_t slots : rig.slots) {
        useful += std::min(slots, experts);
    }
    if (useful < experts) {
        throw user_error("request.invalid", "The devices have " + std::to_string(useful) + " slots a layer, and there are " + std::to_string(experts) +
                                                " experts: every expert needs one. Give each device at least " +
                                                std::to_string((experts + rig.devices() - 1) / rig.devices()) + ".",
                         { { "need", experts }, { "have", useful } });
    }
}

layer_placement place_static(uint32_t experts, const layer_rig & rig) {
    layer_placement placement;
    uint64_t        slots = 0;
    for (uint32_t d = 0; d < rig.devices(); d++) {
        slots += rig.slots[d];
        const uint64_t until = d + 1 == rig.devices() ? experts : (slots * experts + rig.total_slots() / 2) / rig.total_slots();
        while (placement.size() < until) {
            placement.push_back(1u << d);
        }
    }
    return placement;
}

layer_placement place_packed(const std::vector<double> & loads, const std::vector<uint32_t> & counts, const layer_rig & rig) {
    std::vector<double> each(loads.size());
    for (size_t i = 0; i < loads.size(); i++) {
        each[i] = loads[i] / counts[i];
    }
    const std::vector<uint32_t> order = by_falling(each);
    packing                     packed(loads.size(), rig);
    const uint32_t              most = *std::max_element(counts.begin(), counts.end());
    for (uint32_t copy = 0; copy < most; copy++) {  // first copies first: every expert needs one
        for (const uint32_t expert : order) {
            if (copy < counts[expert]) {
                packed.add(expert, each[expert]);
            }
        }
    }
    fill(packed, order, each);
    return packed.take();
}

layer_placement place_recounted(layer_placement placement, const std::vector<double> & loads, const std::vector<uint32_t> & counts, const layer_rig & rig,
                                const tokens_in_common & common) {
    std::vector<double> each(loads.size());
    for (size_t i = 0; i < loads.size(); i++) {
        each[i] = loads[i] / counts[i];
    }
    const std::vector<uint32_t> order = by_falling(each);
    const double                mean = std::accumulate(loads.begin(), loads.end(), 0.0) / std::accumulate(rig.speeds.begin(), rig.speeds.end(), 0.0);
    packing                     packed(loads.size(), rig, common, equally_good * mean);
    packed.keep(placement, each);
    for (const uint32_t expert : order) {
        for (uint32_t surplus = copies_of(placement[expert]); surplus > counts[expert]; surplus--) {
            packed.remove_from_busiest(expert, each[expert]);
        }
    }
    for (const uint32_t expert : order) {
        for (uint32_t there = copies_of(placement[expert]); there < counts[expert]; there++) {
            packed.add(expert, each[expert]);
        }
    }
    fill(packed, order, each);
    return packed.take();
}

double imbalance(const std::vector<std::vector<double>> & samples, const layer_placement & placement, const layer_rig & rig) {
    const double all  = std::accumulate(rig.speeds.begin(), rig.speeds.end(), 0.0);
    double       sum  = 0;
    size_t       used = 0;
    for (const auto & sample : samples) {
        const double total = std::accumulate(sample.begin(), sample.end(), 0.0);
        if (total > 0) {
            sum += split_makespan(sample, placement, rig.speeds) / (total / all);
            used++;
        }
    }
    return used > 0 ? sum / double(used) : 1.0;
}

layer_placement place_improved(layer_placement placement, const std::vector<std::vector<double>> & samples, const layer_rig & rig, uint32_t steps,
                               const tokens_in_common & common) {
    constexpr double            worth_it = 1e-4;
    const std::vector<uint32_t> busiest  = by_falling(mean_of(samples));
    double                      now      = imbalance(samples, placement, rig);
    for (uint32_t step = 0; step < steps; step++) {
        const device_set      tight = bottleneck(samples, placement, rig);
        std::vector<uint32_t> given, spare;  // experts
        for (size_t i = 0; i < busiest.size(); i++) {
            const uint32_t hot = busiest[i], cold = busiest[busiest.size() - 1 - i];
            if (given.size() < candidates && (placement[hot] & ~tight) == 0) {
                given.push_back(hot);
            }
            const bool several = (placement[cold] & (placement[cold] - 1)) != 0;
            if (spare.size() < candidates * rig.devices() && several && (placement[cold] & ~tight) != 0) {
                spare.push_back(cold);
            }
        }
        std::vector<exchange> helpful;
        for (uint32_t d = 0; d < rig.devices(); d++) {
            size_t tried = 0;
            for (size_t s = 0; s < spare.size() && tried < candidates && !has(tight, d); s++) {
                if (!has(placement[spare[s]], d)) {
                    continue;
                }
                tried++;
                for (const uint32_t expert : given) {
                    exchange tried_one{ d, spare[s], expert };
                    tried_one.imbalance = imbalance(samples, tried_one.in(placement), rig);
                    if (tried_one.imbalance < now - worth_it) {
                        helpful.push_back(tried_one);
                    }
                }
            }
        }
        if (helpful.empty()) {
            break;
        }
        const exchange best = best_exchange(helpful, placement, common);
        placement           = best.in(std::move(placement));
        now                 = best.imbalance;
    }
    return placement;
}

layer_placement place_towards(const layer_placement & from, const layer_placement & to, const std::vector<double> & loads, const layer_rig & rig, uint32_t most) {
    if (copies_to_move(from, to) <= most) {
        return to;
    }
    layer_placement       now = from;
    std::vector<uint32_t> left(rig.slots);
    for (const device_set devices : from) {
        for (uint32_t d = 0; d < rig.devices(); d++) {
            left[d] -= has(devices, d) ? 1 : 0;
        }
    }
    // Makes room on a device by a copy that is not wanted there, as long as it is not the last one.
    const auto has_room = [&](uint32_t d) {
        for (size_t i = 0; i < now.size() && left[d] == 0; i++) {
            if (has(now[i] & ~to[i], d) && copies_of(now[i]) > 1) {
                now[i] &= ~(1u << d);
                left[d]++;
            }
        }
        return left[d] > 0;
    };
    for (const uint32_t expert : by_falling(loads)) {
        for (uint32_t d = 0; d < rig.devices() && most > 0; d++) {
            if (has(to[expert] & ~from[expert], d) && has_room(d)) {
                now[expert] |= 1u << d;
                left[d]--;
                most--;
            }
        }
    }
    return now;
}

uint32_t copies_to_move(const layer_placement & from, const layer_placement & to) {
    uint32_t count = 0;
    for (size_t i = 0; i < to.size(); i++) {
        count += copies_of(to[i] & ~from[i]);
    }
    return count;
}

}  // namespace moebius
