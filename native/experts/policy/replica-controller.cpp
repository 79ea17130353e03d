#include "replica-controller.h"

#include "replica-counts.h"

#include <numeric>

namespace moebius {

replica_controller::replica_controller(uint32_t experts, layer_rig layer, const replica_controller_settings & how)
    : rig(std::move(layer)), settings(how), average(experts, 1.0), window(experts, 0.0) {
    check_rig(rig, experts);
    current = place_packed(average, replica_counts_proportional(average, rig.total_slots(), rig.devices()), rig);
    average.assign(experts, 0.0);
}

void replica_controller::observe(const std::vector<uint32_t> & tokens) {
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

replica_decision replica_controller::decide() {
    if (std::accumulate(window.begin(), window.end(), 0.0) <= 0) {
        return { current, 0 };
    }
    for (size_t i = 0; i < window.size(); i++) {
        average[i] = average[i] * settings.memory + window[i] * (1 - settings.memory);
    }
    const auto            counts = replica_counts_proportional(average, rig.total_slots(), rig.devices());
    const layer_placement best   = place_improved(place_recounted(current, average, counts, rig), expected(), rig, settings.steps);
    const layer_placement next   = place_towards(current, best, average, rig, settings.most_copies);
    const replica_decision decision{ next, copies_to_move(current, next) };
    current = next;
    window.assign(window.size(), 0.0);
    return decision;
}

}  // namespace moebius
