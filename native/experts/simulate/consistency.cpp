#include "consistency.h"

#include "replay-sweep.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace moebius {

namespace {

constexpr uint32_t segment_lengths[]  = { 4, 16, 64, 256 };
constexpr uint32_t suitability_length = 16;

// First batches of the whole segments.
std::vector<uint32_t> segments_of(const replay_batches & tokens, uint32_t length) {
    std::vector<uint32_t> starts;
    uint32_t              begin = 0;
    for (uint32_t batch = 0; batch <= tokens.count(); batch++) {
        if (batch == tokens.count() || (batch > 0 && tokens.begins_prompt(batch))) {
            for (; begin + length <= batch; begin += length) {
                starts.push_back(begin);
            }
            begin = batch;
        }
    }
    return starts;
}

double at_slots(const replay_batches & batches, replay_settings & settings, uint32_t slots) {
    settings.slots = replay_slots(batches, slots);
    return replay(batches, settings).all.hit_rate();
}

// The point that lies highest above the straight line between the ends.
uint32_t knee_of(const std::vector<slot_point> & curve) {
    const slot_point & first = curve.front();
    const slot_point & last  = curve.back();
    const double       rise  = last.hit_rate - first.hit_rate;
    uint32_t           knee  = first.slots;
    double             best  = 0.0;
    for (const slot_point & point : curve) {
        const double along  = last.slots == first.slots ? 0.0 : double(point.slots - first.slots) / double(last.slots - first.slots);
        const double height = point.hit_rate - first.hit_rate - rise * along;
        if (height > best) {
            best = height;
            knee = point.slots;
        }
    }
    return knee;
}

}  // namespace

uint32_t group_size(const replay_batches & tokens, double factor) {
    return uint32_t(std::clamp(std::round(factor * tokens.used()), 1.0, std::max(1.0, double(tokens.experts()))));
}

double segment_routing_performance(const replay_batches & tokens, double factor, uint32_t length) {
    const uint32_t        size    = std::min(group_size(tokens, factor), tokens.experts());
    uint64_t              covered = 0;
    uint64_t              all     = 0;
    std::vector<uint32_t> counts(tokens.experts());
    for (const uint32_t first : segments_of(tokens, length)) {
        for (uint32_t layer = 0; layer < tokens.layers(); layer++) {
            std::fill(counts.begin(), counts.end(), 0);
            for (uint32_t batch = first; batch < first + length; batch++) {
                for (const expert_use * use = tokens.begin(batch, layer); use != tokens.end(batch, layer); use++) {
                    counts[use->expert] += use->tokens;
                }
            }
            std::nth_element(counts.begin(), counts.begin() + ptrdiff_t(size) - 1, counts.end(), std::greater<uint32_t>());
            covered += std::accumulate(counts.begin(), counts.begin() + ptrdiff_t(size), uint64_t(0));
            all += std::accumulate(counts.begin(), counts.end(), uint64_t(0));
        }
    }
    return all == 0 ? 0.0 : double(covered) / double(all);
}

double segment_cache_hit_rate(const replay_batches & tokens, double factor, uint32_t length, const std::function<void()> & check) {
    replay_settings settings;
    settings.policy = "lookahead-" + std::to_string(length);
    settings.check  = check;
    return at_slots(tokens, settings, group_size(tokens, factor));
}

consistency_report measure_consistency(const routing_trace & trace, const std::function<void()> & check) {
    const replay_batches tokens(trace, 1);
    consistency_report   report;
    for (const uint32_t length : segment_lengths) {
        report.rows.push_back({ length, segment_routing_performance(tokens, report.factor, length), segment_cache_hit_rate(tokens, report.factor, length, check) });
        if (length == suitability_length) {
            const double chance = tokens.experts() == 0 ? 1.0 : double(group_size(tokens, report.factor)) / tokens.experts();
            report.suitability  = chance >= 1.0 ? 1.0 : std::clamp((report.rows.back().cache - chance) / (1.0 - chance), 0.0, 1.0);
        }
    }
    return report;
}

slot_advice advise_slots(const replay_batches & batches, replay_settings settings, double target_hit_rate) {
    slot_advice advice;
    for (const uint32_t slots : sweep_counts(batches)) {
        advice.curve.push_back({ slots, at_slots(batches, settings, slots) });
    }
    const auto enough = [&](const slot_point & point) { return point.hit_rate >= target_hit_rate; };
    const auto found  = std::find_if(advice.curve.begin(), advice.curve.end(), enough);
    if (found != advice.curve.end()) {
        uint32_t reaches = found->slots;
        uint32_t fails   = found == advice.curve.begin() ? reaches - 1 : (found - 1)->slots;
        while (reaches - fails > 1) {
            const uint32_t middle                                              = fails + (reaches - fails) / 2;
            (at_slots(batches, settings, middle) >= target_hit_rate ? reaches : fails) = middle;
        }
        advice.target = reaches;
    }
    advice.knee = knee_of(advice.curve);
    return advice;
}

}  // namespace moebius
