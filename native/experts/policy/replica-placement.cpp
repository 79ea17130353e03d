#include "replica-placement.h"

#include <algorithm>
#include <numeric>

namespace moebius {

namespace {

std::vector<uint32_t> by_falling(const std::vector<double> & values) {
    std::vector<uint32_t> order(values.size());
    std::iota(order.begin(), order.end(), 0u);
    std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return values[a] > values[b]; });
    return order;
}

std::vector<double> load_per_copy(const std::vector<double> & loads, const std::vector<uint32_t> & counts) {
    std::vector<double> each(loads.size());
    for (size_t i = 0; i < loads.size(); i++) {
        each[i] = loads[i] / counts[i];
    }
    return each;
}

class packing {
  public:
    // ties: decides between devices that are equally good, within `slack` time; null: the first of the best
    packing(size_t experts, const layer_rig & rig, const row_cost * ties = nullptr, double slack = 0)
        : rig(rig), ties(ties), slack(slack), left(rig.slots), loads(rig.devices(), 0.0), placement(experts, 0) {}

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

    // Begins with copies that are there. each: [experts], load per copy.
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

    // Slots that are left get more copies of the experts that come first in `order`.
    void fill(const std::vector<uint32_t> & order, const std::vector<double> & each) {
        for (bool added = true; added;) {
            added = false;
            for (const uint32_t expert : order) {
                added = add(expert, each[expert]) || added;
            }
        }
    }

    layer_placement take() { return std::move(placement); }

  private:
    double after(uint32_t device, double load) const { return (loads[device] + load) / rig.speeds[device]; }

    // Of some devices the least busy one, and of those the one that costs the fewest rows (sign 1); or the busiest one that costs the most (-1).
    uint32_t choose(device_set possible, uint32_t expert, double load, double sign) const {
        const auto first_by = [&](device_set among, const auto & value) {
            uint32_t best  = rig.devices();
            double   least = 0;
            for (uint32_t d = 0; d < rig.devices(); d++) {
                const double own = has(among, d) ? sign * value(d) : 0;
                if (has(among, d) && (best == rig.devices() || own < least)) {
                    best  = d;
                    least = own;
                }
            }
            return best;
        };
        const uint32_t best = first_by(possible, [&](uint32_t d) { return after(d, load); });
        if (!ties || !ties->matters()) {
            return best;
        }
        device_set equal = 0;
        for (uint32_t d = 0; d < rig.devices(); d++) {
            equal |= has(possible, d) && sign * after(d, load) <= sign * after(best, load) + slack ? 1u << d : 0;
        }
        return first_by(equal, [&](uint32_t d) { return ties->of(expert, d, placement); });
    }

    const layer_rig &     rig;
    const row_cost *      ties;
    double                slack;
    std::vector<uint32_t> left;
    std::vector<double>   loads;
    layer_placement       placement;
};

}  // namespace

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
    const std::vector<double>   each  = load_per_copy(loads, counts);
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
    packed.fill(order, each);
    return packed.take();
}

layer_placement place_recounted(layer_placement placement, const std::vector<double> & loads, const std::vector<uint32_t> & counts, const layer_rig & rig,
                                const tokens_in_common & common) {
    constexpr double            equally_good = 0.002;
    const std::vector<double>   each         = load_per_copy(loads, counts);
    const std::vector<uint32_t> order        = by_falling(each);
    const double                mean = std::accumulate(loads.begin(), loads.end(), 0.0) / std::accumulate(rig.speeds.begin(), rig.speeds.end(), 0.0);
    const row_cost              rows(loads, rig, common);
    packing                     packed(loads.size(), rig, &rows, equally_good * mean);
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
    packed.fill(order, each);
    return packed.take();
}

}  // namespace moebius
