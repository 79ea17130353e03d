#include "plan-hits.h"

#include "experts/plan/step-forecast.h"
#include "experts/simulate/consistency.h"

#include <algorithm>

namespace moebius {

namespace {

constexpr uint32_t prompt_batch  = 512;
constexpr double   wanted_rate   = 0.9;
// Of what chance leaves: between a model that routes at random (0) and those that caches suit (above 0.5).
constexpr double   guessed_share = 0.3;

void refuse_other_shape(const std::string & path, const routing_trace & trace, const expert_layout & layout) {
    if (trace.tokens() > 0 && trace.shape.layers.size() == layout.layers.size() && trace.shape.expert_count == layout.experts) {
        return;
    }
    throw user_error("request.invalid",
                     "The trace " + path + " has " + std::to_string(trace.tokens()) + " tokens in " + std::to_string(trace.shape.layers.size()) + " layers of " +
                         std::to_string(trace.shape.expert_count) + " experts; the model has " + std::to_string(layout.layers.size()) + " layers of " +
                         std::to_string(layout.experts) + ". Record one with this model (moebius trace).",
                     { { "path", path } });
}

}  // namespace

hit_rates::hit_rates(const std::string & path, const expert_layout & layout, const std::string & name, std::function<void()> stop)
    : experts(layout.experts), policy(name), check(std::move(stop)) {
    if (path.empty() || layout.empty()) {
        return;
    }
    trace = std::make_unique<routing_trace>(trace_read(path));
    refuse_other_shape(path, *trace, layout);
    batches = std::make_unique<replay_batches>(*trace, prompt_batch);
}

std::vector<double> hit_rates::of(const std::vector<uint32_t> & slots) const {
    std::vector<double> rates;
    for (const uint32_t count : slots) {
        const double chance = experts > 0 ? double(count) / double(experts) : 1.0;
        rates.push_back(count == 0 ? 0.0 : std::min(1.0, chance + guessed_share * (1 - chance)));
    }
    if (!batches || std::all_of(slots.begin(), slots.end(), [&](uint32_t count) { return count == 0 || count >= experts; })) {
        return rates;
    }
    const replay_result result = replay_with(slots);
    for (size_t i = 0; i < rates.size(); i++) {
        const replay_figures & figures = result.replies[i].uses > 0 ? result.replies[i] : result.layers[i];
        rates[i]                       = slots[i] == 0 ? 0.0 : slots[i] >= experts ? 1.0 : figures.hit_rate();
    }
    return rates;
}

replay_result hit_rates::replay_with(const std::vector<uint32_t> & slots) const {
    replay_settings settings;
    settings.policy = policy;
    settings.check  = check;
    for (const uint32_t count : slots) {
        settings.slots.push_back(std::max(1u, count));
    }
    return replay(*batches, settings);
}

std::vector<hit_rates::prompt_use> hit_rates::prompts(const std::vector<uint32_t> & slots) const {
    std::vector<prompt_use> result;
    for (const uint32_t count : slots) {
        result.push_back({ 1, 1 - double(count) / double(std::max(1u, experts)) });
    }
    std::vector<double> even(slots.size(), 0.0);  // experts of a layer that the prompts would use
    for (uint32_t batch = 0; batches && batch < batches->count(); batch++) {
        for (uint32_t layer = 0; layer < slots.size() && batches->tokens(batch) > 1; layer++) {
            even[layer] += distinct_experts(experts, batches->used(), batches->tokens(batch, layer));
        }
    }
    if (std::all_of(even.begin(), even.end(), [](double uses) { return uses == 0; })) {
        return result;
    }
    const replay_result replayed = replay_with(slots);
    for (size_t i = 0; i < result.size(); i++) {
        const uint64_t uses   = replayed.layers[i].uses - replayed.replies[i].uses;
        const uint64_t misses = replayed.layers[i].misses - replayed.replies[i].misses;
        if (uses > 0) {
            result[i].distinct = std::min(1.0, double(uses) / even[i]);
            result[i].missing  = slots[i] >= experts ? 0.0 : double(misses) / double(uses);
        }
    }
    return result;
}

json hit_rates::suitability() const {
    if (!batches) {
        return nullptr;
    }
    const consistency_report report = measure_consistency(*trace, check);
    replay_settings          settings;
    settings.policy          = policy;
    settings.check           = check;
    settings.slots           = replay_slots(*batches, group_size(*batches, report.factor));
    const slot_advice advice = advise_slots(*batches, settings, wanted_rate);
    json              rows   = json::array();
    for (const consistency_row & row : report.rows) {
        rows.push_back({ { "length", row.length }, { "segmentRouting", row.routing }, { "segmentCache", row.cache } });
    }
    return {
        { "suitability", report.suitability },
        { "segments", std::move(rows) },
        { "targetHitRate", wanted_rate },
        { "slots", advice.target ? json(*advice.target) : json(nullptr) },
        { "knee", advice.knee },
    };
}

}  // namespace moebius
