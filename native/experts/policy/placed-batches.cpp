#include "placed-batches.h"

#include <algorithm>
#include <numeric>

namespace moebius {

placed_batches::placed_batches(const std::vector<std::vector<double>> & samples, layer_placement placement, const layer_rig & rig)
    : at(std::move(placement)), paces(size_t(1) << rig.devices(), 0.0) {
    for (size_t set = 1; set < paces.size(); set++) {
        double speed = 0;
        for (uint32_t d = 0; d < rig.devices(); d++) {
            speed += has(device_set(set), d) ? rig.speeds[d] : 0;
        }
        paces[set] = 1 / speed;
    }
    mean.loads.assign(at.size(), 0.0);
    for (const auto & sample : samples) {
        const double total = std::accumulate(sample.begin(), sample.end(), 0.0);
        if (total > 0) {
            add(sample, 1 / (total * paces.back()));
        }
    }
    for (double & load : mean.loads) {
        load /= double(std::max<size_t>(batches.size(), 1));
    }
    count();
}

double placed_batches::imbalance() const {
    double sum = 0;
    for (const batch & each : batches) {
        sum += time_of(each, slowest(each));
    }
    return batches.empty() ? 1.0 : sum / double(batches.size());
}

double placed_batches::imbalance_with(const exchange & one) const {
    struct shift {
        size_t set;
        double leaving, coming;  // parts of these experts' load that the set gets
    };
    const auto         only  = [](device_set devices, size_t set) { return (devices & ~set) == 0 ? 1.0 : 0.0; };
    const device_set   leaving = one.of_leaving(at), coming = one.of_coming(at);
    std::vector<shift> shifts;
    for (size_t set = 1; set < paces.size(); set++) {
        shifts.push_back({ set, only(leaving, set) - only(at[one.leaves], set), only(coming, set) - only(at[one.comes], set) });
    }
    double sum = 0;
    for (const batch & each : batches) {
        double longest = 0;
        for (const shift & to : shifts) {
            longest = std::max(longest, (each.only[to.set] + to.leaving * each.loads[one.leaves] + to.coming * each.loads[one.comes]) * paces[to.set]);
        }
        sum += longest;
    }
    return sum / double(batches.size());
}

double placed_batches::best_shift(uint32_t from, uint32_t to) const {
    const auto time = [&](uint32_t with, uint32_t without, double more) {
        double longest = 0;
        for (size_t set = 1; set < paces.size(); set++) {
            longest = has(device_set(set), with) && !has(device_set(set), without) ? std::max(longest, (mean.only[set] + more) * paces[set]) : longest;
        }
        return longest;
    };
    constexpr int halvings = 20;
    double        low = 0, high = mean.only[size_t(1) << from];
    for (int i = 0; i < halvings; i++) {
        const double middle = (low + high) / 2;
        (time(from, to, -middle) > time(to, from, middle) ? low : high) = middle;
    }
    return low;
}

device_set placed_batches::bottleneck() const {
    device_set worst   = 0;
    double     longest = 0;
    for (const batch & each : batches) {
        const size_t set = slowest(each);
        worst            = time_of(each, set) > longest ? device_set(set) : worst;
        longest          = std::max(longest, time_of(each, set));
    }
    return worst;
}

void placed_batches::leave_out(device_set devices) {
    for (device_set & copies : at) {
        copies &= ~devices;
    }
    count();
}

void placed_batches::make(const exchange & one) {
    one.make(at);
    count();
}

void placed_batches::add(const std::vector<double> & sample, double scale) {
    batches.push_back({ sample, {} });
    for (size_t i = 0; i < sample.size(); i++) {
        batches.back().loads[i] *= scale;
        mean.loads[i] += batches.back().loads[i];
    }
}

void placed_batches::count() {
    count(mean);
    for (batch & each : batches) {
        count(each);
    }
}

void placed_batches::count(batch & each) const {
    each.only.assign(paces.size(), 0.0);
    for (size_t i = 0; i < at.size(); i++) {
        each.only[at[i]] += at[i] != 0 ? each.loads[i] : 0;
    }
    for (size_t bit = 1; bit < paces.size(); bit *= 2) {
        for (size_t set = 0; set < paces.size(); set++) {
            each.only[set] += set & bit ? each.only[set ^ bit] : 0.0;
        }
    }
}

size_t placed_batches::slowest(const batch & each) const {
    size_t worst = 1;
    for (size_t set = 2; set < paces.size(); set++) {
        worst = time_of(each, set) > time_of(each, worst) ? set : worst;
    }
    return worst;
}

}  // namespace moebius
