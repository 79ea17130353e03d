#include "replica-controller.h"

#include "replica-counts.h"
#include "replica-improvement.h"
#include "replica-moves.h"
#include "replica-placement.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace moebius {

namespace {

template <typename T> std::vector<T> only(const std::vector<T> & values, const std::vector<uint32_t> & which) {
    std::vector<T> chosen;
    for (const uint32_t i : which) {
        chosen.push_back(values[i]);
    }
    return chosen;
}

bool all_have_one(const layer_placement & placement) {
    return std::find(placement.begin(), placement.end(), device_set(0)) == placement.end();
}

}  // namespace

replica_controller::replica_controller(uint32_t experts, layer_rig layer, const replica_controller_settings & how)
    : rig(std::move(layer)), settings(how), current(experts, 0), average(experts, 0.0), window(experts, 0.0), affinity(experts) {
    check_rig(rig, 0);
    const std::vector<uint32_t> chosen = choose();
    if (!chosen.empty()) {
        const std::vector<double> even(chosen.size(), 1.0);
        const layer_placement     first = place_packed(even, replica_counts_proportional(even, rig.total_slots(), rig.devices()), rig);
        for (size_t i = 0; i < chosen.size(); i++) {
            current[chosen[i]] = first[i];
        }
    }
}

void replica_controller::observe(const std::vector<uint32_t> & tokens, const token_routes & routes) {
    affinity.observe(routes);
    for (size_t i = 0; i < window.size(); i++) {
        window[i] += tokens[i];
    }
    // the batches that are kept are the latest ones
    if (batches.size() == settings.samples) {
        batches.erase(batches.begin());
    }
    batches.emplace_back(tokens.begin(), tokens.end());
}

// Loads that the next batches may have: those of the latest ones, each drawn half way to the average, which is less random.
std::vector<std::vector<double>> replica_controller::expected() const {
    const double                     total = std::accumulate(average.begin(), average.end(), 0.0);
    std::vector<std::vector<double>> samples;
    for (const std::vector<double> & batch : batches) {
        const double        scale = std::accumulate(batch.begin(), batch.end(), 0.0) / total;
        std::vector<double> sample(batch.size());
        for (size_t i = 0; i < batch.size(); i++) {
            sample[i] = (batch[i] + average[i] * scale) / 2;
        }
        samples.push_back(std::move(sample));
    }
    return samples;
}

// Every expert has a copy that may have one.
bool replica_controller::has_all() const {
    for (size_t e = 0; e < current.size(); e++) {
        if (current[e] == 0 && !is_kept_out(e)) {
            return false;
        }
    }
    return true;
}

// The experts that are to have a copy, ascending: all that may, or those that have one, less the idlest that a busier one without replaces.
// Of equals the last ones: RAM is filled from expert 0 on.
std::vector<uint32_t> replica_controller::choose() const {
    std::vector<uint32_t> chosen;
    for (uint32_t e = 0; e < average.size(); e++) {
        if (!is_kept_out(e)) {
            chosen.push_back(e);
        }
    }
    const uint32_t experts = uint32_t(chosen.size());
    uint32_t       room    = 0;
    for (const uint32_t slots : rig.slots) {
        room += std::min(slots, experts);
    }
    if (room >= experts) {
        return chosen;
    }
    std::reverse(chosen.begin(), chosen.end());
    const auto busiest_first = [&](uint32_t a, uint32_t b) { return average[a] > average[b]; };
    const auto others        = std::stable_partition(chosen.begin(), chosen.end(), [&](uint32_t e) { return current[e] != 0; });
    std::stable_sort(chosen.begin(), others, busiest_first);
    std::stable_sort(others, chosen.end(), busiest_first);
    uint32_t                    there = uint32_t(others - chosen.begin());
    std::vector<uint32_t>       stay(chosen.begin(), others);
    const std::vector<uint32_t> wait(others, chosen.end());
    stay.resize(std::min(there, room));
    for (uint32_t i = 0, replaced = 0; i < wait.size() && i < settings.most_copies; i++) {
        if (stay.size() < room) {
            stay.push_back(wait[i]);
            continue;
        }
        replaced++;
        if (replaced > std::min(there, room) || average[wait[i]] <= settings.gain * average[stay[std::min(there, room) - replaced]]) {
            break;
        }
        stay[std::min(there, room) - replaced] = wait[i];
    }
    std::sort(stay.begin(), stay.end());
    return stay;
}

double replica_controller::past_weight() const {
    constexpr double dispersion = 8;  // how many times as much as by chance loads vary that stay the same: tokens of a text are of a kind
    const double     past = std::accumulate(average.begin(), average.end(), 0.0), now = std::accumulate(window.begin(), window.end(), 0.0);
    double           difference = 0;
    for (size_t i = 0; i < window.size() && past > 0; i++) {
        difference += std::pow(window[i] - average[i] * now / past, 2);
    }
    return difference > 0 ? std::min(settings.memory, dispersion * now / difference) : settings.memory;
}

replica_decision replica_controller::decide() {
    if (std::accumulate(window.begin(), window.end(), 0.0) > 0) {
        const double memory = past_weight();
        for (size_t i = 0; i < window.size(); i++) {
            average[i] = average[i] * memory + window[i] * (1 - memory);
        }
        window.assign(window.size(), 0.0);
        affinity.fade(settings.memory);
    } else if (rig.total_slots() == 0 || has_all()) {
        return { current, 0 };
    }
    const std::vector<uint32_t> chosen = choose();
    layer_placement             next(current.size(), 0);
    if (!chosen.empty()) {
        const layer_placement now    = only(current, chosen);
        const auto            loads  = only(average, chosen);
        const auto            counts = replica_counts_proportional(loads, rig.total_slots(), rig.devices());
        const tokens_in_common common = [&](uint32_t a, uint32_t b) { return affinity.share(chosen[a], chosen[b]); };
        layer_placement       best   = place_recounted(now, loads, counts, rig, common);
        if (!batches.empty() && all_have_one(best)) {
            std::vector<std::vector<double>> samples;
            for (const std::vector<double> & sample : expected()) {
                samples.push_back(only(sample, chosen));
            }
            best = place_improved(std::move(best), samples, rig, std::min(settings.steps, settings.most_copies), common);
        }
        best = place_towards(now, best, loads, rig, settings.most_copies);
        for (size_t i = 0; i < chosen.size(); i++) {
            next[chosen[i]] = best[i];
        }
    }
    const replica_decision decision{ next, copies_to_move(current, next) };
    current = next;
    return decision;
}

void replica_controller::drop_beyond(uint32_t device) {
    const device_set bit = 1u << device;
    const auto       here = [&] { return uint32_t(std::count_if(current.begin(), current.end(), [&](device_set set) { return (set & bit) != 0; })); };
    for (uint32_t count = here(); count > rig.slots[device]; count--) {
        size_t idlest = current.size();
        const auto load = [&](size_t e) { return average[e] / copies_of(current[e]); };
        for (size_t e = 0; e < current.size(); e++) {
            if ((current[e] & bit) != 0 && (idlest == current.size() || load(e) < load(idlest))) {
                idlest = e;
            }
        }
        current[idlest] &= ~bit;
    }
}

const layer_placement & replica_controller::change(layer_rig next) {
    check_rig(next, 0);
    rig = std::move(next);
    for (uint32_t d = 0; d < rig.devices(); d++) {
        drop_beyond(d);
    }
    return current;
}

const layer_placement & replica_controller::keep_out(std::vector<bool> experts) {
    kept_out = std::move(experts);
    for (size_t e = 0; e < current.size(); e++) {
        current[e] = is_kept_out(e) ? 0 : current[e];
    }
    return current;
}

}  // namespace moebius
