#include "replica-improvement.h"

#include "placed-batches.h"

#include <algorithm>
#include <numeric>

namespace moebius {

namespace {

constexpr size_t candidates   = 6;      // experts that are tried in a step, on either side
constexpr double worth_it     = 1e-4;   // of imbalance, for each copy
constexpr double equally_good = 0.002;  // of imbalance

// In place of copies that others can do without. busiest: experts, the busiest first.
std::vector<exchange> replacements(const layer_placement & placement, device_set tight, const std::vector<uint32_t> & busiest, uint32_t devices) {
    std::vector<uint32_t> given, spare;  // experts
    for (size_t i = 0; i < busiest.size(); i++) {
        const uint32_t hot = busiest[i], cold = busiest[busiest.size() - 1 - i];
        if (given.size() < candidates && placement[hot] != 0 && (placement[hot] & ~tight) == 0) {
            given.push_back(hot);
        }
        if (spare.size() < candidates * devices && copies_of(placement[cold]) > 1 && (placement[cold] & ~tight) != 0) {
            spare.push_back(cold);
        }
    }
    std::vector<exchange> all;
    for (uint32_t d = 0; d < devices; d++) {
        size_t tried = 0;
        for (size_t s = 0; s < spare.size() && tried < candidates && !has(tight, d); s++) {
            if (has(placement[spare[s]], d)) {
                tried++;
                for (const uint32_t expert : given) {
                    all.push_back({ d, spare[s], expert });
                }
            }
        }
    }
    return all;
}

// Of an expert of the bottleneck with one that only another device has: those whose loads differ by what is best. If both have one copy, a batch's time depends on that alone.
std::vector<exchange> swaps(const placed_batches & batches, device_set tight, uint32_t devices) {
    const layer_placement &     placement = batches.placement();
    const std::vector<double> & loads     = batches.mean_loads();
    std::vector<exchange>       all;
    for (uint32_t from = 0; from < devices; from++) {
        for (uint32_t to = 0; to < devices && has(tight, from); to++) {
            std::vector<exchange> pairs;
            const double          best = has(tight, to) ? 0 : batches.best_shift(from, to);
            for (uint32_t comes = 0; comes < placement.size() && best > 0; comes++) {
                for (uint32_t leaves = 0; leaves < placement.size() && has(placement[comes], from) && (placement[comes] & ~tight) == 0; leaves++) {
                    if (placement[leaves] == 1u << to && loads[comes] > loads[leaves]) {
                        pairs.push_back({ to, leaves, comes, from, 0 });
                    }
                }
            }
            const auto   off  = [&](const exchange & one) { return std::abs(loads[one.comes] - loads[one.leaves] - best); };
            const size_t most = std::min(candidates, pairs.size());
            std::partial_sort(pairs.begin(), pairs.begin() + ptrdiff_t(most), pairs.end(), [&](const exchange & a, const exchange & b) { return off(a) < off(b); });
            all.insert(all.end(), pairs.begin(), pairs.begin() + ptrdiff_t(most));
        }
    }
    return all;
}

double rows_saved(const exchange & one, const layer_placement & placement, const row_cost & rows) {
    layer_placement next = placement;
    one.make(next);
    const double saved   = rows.of(one.leaves, one.device, placement) - rows.of(one.comes, one.device, next);
    return one.back == exchange::nowhere ? saved : saved + rows.of(one.comes, one.back, placement) - rows.of(one.leaves, one.back, next);
}

// The one that helps most for each copy, or of several that help equally the one that saves the most rows. all: not empty.
exchange best_exchange(const std::vector<exchange> & all, double now, const layer_placement & placement, const row_cost & rows) {
    const auto helps = [&](const exchange & one) { return (now - one.imbalance) / one.copies(); };
    exchange   best  = *std::max_element(all.begin(), all.end(), [&](const exchange & a, const exchange & b) { return helps(a) < helps(b); });
    if (!rows.matters()) {
        return best;
    }
    const double least = helps(best) - equally_good;
    double       most  = rows_saved(best, placement, rows);
    for (const exchange & one : all) {
        const double own = helps(one) >= least ? rows_saved(one, placement, rows) : most;
        if (own > most) {
            most = own;
            best = one;
        }
    }
    return best;
}

}  // namespace

double imbalance(const std::vector<std::vector<double>> & samples, const layer_placement & placement, const layer_rig & rig) {
    return placed_batches(samples, placement, rig).imbalance();
}

layer_placement place_improved(layer_placement placement, const std::vector<std::vector<double>> & samples, const layer_rig & rig, uint32_t steps,
                               const tokens_in_common & common) {
    placed_batches              batches(samples, placement, rig);
    const std::vector<double> & loads = batches.mean_loads();
    const row_cost              rows(loads, rig, common);
    std::vector<uint32_t>       busiest(loads.size());
    std::iota(busiest.begin(), busiest.end(), 0u);
    std::stable_sort(busiest.begin(), busiest.end(), [&](uint32_t a, uint32_t b) { return loads[a] > loads[b]; });
    for (uint32_t devices = rig.devices(); steps > 0 && devices > 1;) {
        const device_set tight = batches.bottleneck();
        const double     now   = batches.imbalance();
        const auto       helpful = [&](std::vector<exchange> possible) {
            for (exchange & one : possible) {
                one.imbalance = batches.imbalance_with(one);
            }
            possible.erase(std::remove_if(possible.begin(), possible.end(), [&](const exchange & one) { return one.imbalance >= now - worth_it * one.copies(); }), possible.end());
            return possible;
        };
        std::vector<exchange> some = helpful(replacements(batches.placement(), tight, busiest, rig.devices()));
        if (some.empty() && steps > 1) {
            some = helpful(swaps(batches, tight, rig.devices()));
        }
        if (some.empty()) {
            batches.leave_out(tight);
            devices = tight == 0 ? 0 : devices - copies_of(tight);
            continue;
        }
        const exchange best = best_exchange(some, now, batches.placement(), rows);
        batches.make(best);
        best.make(placement);
        steps -= best.copies();
    }
    return placement;
}

}  // namespace moebius
