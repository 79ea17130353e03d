#include "prefetcher.h"

#include <algorithm>

namespace moebius {

namespace {

constexpr uint32_t window_batches = 16;
constexpr uint32_t quiet_windows  = 8;
constexpr uint32_t blamed_batches = 16;  // later it would have left anyway
constexpr double   demand_smoothing      = 0.1;
constexpr double   resident_margin         = 1.5;  // see read_ahead

}  // namespace

prefetch_counters & prefetch_counters::operator+=(const prefetch_counters & other) {
    uses += other.uses;
    right += other.right;
    read += other.read;
    used += other.used;
    late += other.late;
    wasted += other.wasted;
    withdrawn += other.withdrawn;
    return *this;
}

prefetch_counters prefetch_report::total() const {
    prefetch_counters sum;
    for (const prefetch_counters & layer : layers) {
        sum += layer;
    }
    return sum;
}

prefetcher::prefetcher(uint32_t layers, uint32_t experts)
    : layers(layers), experts(experts), current(layers - 1), proposals(size_t(expert_predictors) * layers), under_way(layers), culprits(size_t(layers) * experts) {
    restart_counters();
}

void prefetcher::set_on(bool on, double now) {
    is_on = on;
    controls.fill({});
    controls[size_t(expert_predictor::history)].depth = 0;  // it is wrong most often: tried when the others have shown what they do
    controls[size_t(expert_predictor::history)].pause = 2;
    for (state_of_predictor & state : states) {
        state.window = {};
        state.quiet  = 0;
    }
    std::fill(proposals.begin(), proposals.end(), proposal());
    history.reset();
    stall        = 0.0;
    batches      = 0;
    window_begun = now;
}

void prefetcher::propose(expert_predictor by, uint32_t layer, std::vector<foreseen_use> foreseen) {
    if (is_on) {
        proposed(by, layer) = { true, std::move(foreseen) };
    }
}

// [experts], the most that any predictor says.
std::vector<double> prefetcher::chances(uint32_t layer) const {
    std::vector<double> most(experts, 0.0);
    for (uint32_t p = 0; p < expert_predictors; p++) {
        const proposal & said = proposals[p * layers + layer];
        for (size_t i = 0; said.given && i < said.foreseen.size(); i++) {
            const foreseen_use & use = said.foreseen[i];
            most[use.expert]         = std::max(most[use.expert], use.probability);
        }
    }
    return most;
}

std::vector<prefetch_read> prefetcher::next(slot_cache & cache, uint32_t most, double now) {
    std::vector<prefetch_read> reads;
    for (uint32_t distance = 1; is_on && distance <= std::min(prefetch_depth_most, layers - 1); distance++) {
        const uint32_t layer = (current + distance) % layers;
        for (uint32_t p = 0; p < expert_predictors; p++) {
            const auto       by     = expert_predictor(p);
            const proposal & wanted = proposed(by, layer);
            const auto       room   = std::min(int64_t(most) - int64_t(reads.size()), int64_t(cache.shape().slots[layer]) - 1 - int64_t(under_way[layer].size()));
            if (!wanted.given || distance > depth(by) || room <= 0) {  // one slot is left to what is asked for
                continue;
            }
            for (const taken_slot & taken : cache.take_ahead(layer, wanted.foreseen, { uint32_t(room), controls[p].least, resident_margin }, chances(layer))) {
                under_way[layer].push_back({ by, distance, taken.expert, taken.evicted, now, busy_until(now), -1.0 });
                states[p].layers[layer].read++;
                reads.push_back({ layer, taken.expert, taken.slot });
            }
        }
    }
    return reads;
}

std::vector<overtaken_read> prefetcher::overtaken(uint32_t layer, const std::vector<expert_use> & uses) const {
    std::vector<overtaken_read> reads;
    for (const reading & one : under_way[layer]) {
        if (!one.ended() && std::none_of(uses.begin(), uses.end(), [&](const expert_use & use) { return use.expert == one.expert; })) {
            reads.push_back({ one.expert, one.evicted });
        }
    }
    return reads;
}

void prefetcher::withdrawn(uint32_t layer, uint32_t expert) {
    std::vector<reading> & reads = under_way[layer];
    const auto             one   = std::find_if(reads.begin(), reads.end(), [&](const reading & each) { return each.expert == expert && !each.ended(); });
    prefetch_counters &    count = states[size_t(one->by)].layers[layer];
    count.withdrawn++;
    count.read -= std::min<uint64_t>(count.read, 1);  // counting may have begun since
    reads.erase(one);
}

void prefetcher::reached(slot_cache & cache, uint32_t layer, const std::vector<expert_use> & uses, const std::vector<found_use> & found, double now) {
    settle(layer, found, now);
    blame(layer, found);
    if (is_on) {
        count_recall(layer, found);
        batches += layer <= current ? 1 : 0;
        batch_count += layer <= current ? 1 : 0;
    }
    for (uint32_t p = 0; p < expert_predictors; p++) {
        proposed(expert_predictor(p), layer).given = false;
    }
    current = layer;
    if (is_on && batches >= window_batches) {
        end_window(now);
    }
    if (is_on) {
        propose_from_history(cache, layer, uses);
    }
}

// Books what became of the experts that were read for this batch.
void prefetcher::settle(uint32_t layer, const std::vector<found_use> & found, double now) {
    const auto find = [&](uint32_t expert) {
        return std::find_if(found.begin(), found.end(), [&](const found_use & use) { return use.expert == expert; });
    };
    for (const reading & one : under_way[layer]) {
        state_of_predictor & state    = states[size_t(one.by)];
        prefetch_counters &  counters = state.layers[layer];
        prefetch_outcome     outcome;
        const auto           use = find(one.expert);
        if (use == found.end() || use->how == expert_found::missing) {
            outcome.wasted = 1;
            outcome.lost   = demand * busy;
        } else if (use->how == expert_found::coming) {
            outcome.late  = 1;
            outcome.saved = std::min(demand, free_since(one, now));
        } else {
            outcome.in_time = 1;
            outcome.saved   = std::clamp(one.free, 0.0, demand);
        }
        if (outcome.wasted > 0 && one.evicted != UINT32_MAX) {
            culprits[size_t(layer) * experts + one.evicted] = { one.by, one.distance, batch_count };
        }
        counters.used += outcome.in_time;
        counters.late += outcome.late;
        counters.wasted += outcome.wasted;
        state.saved += outcome.saved;
        state.lost += outcome.lost;
        state.window[std::min(one.distance, prefetch_depth_most) - 1] += outcome;
    }
    under_way[layer].clear();
}

// An expert that is missing because it had to leave for a read in vain is a read that would not have been.
void prefetcher::blame(uint32_t layer, const std::vector<found_use> & found) {
    for (const found_use & use : found) {
        culprit & one = culprits[size_t(layer) * experts + use.expert];
        if (one.distance > 0 && use.how == expert_found::missing && batch_count - one.batch <= blamed_batches) {
            states[size_t(one.by)].window[one.distance - 1].lost += demand;
            states[size_t(one.by)].lost += demand;
        }
        one.distance = 0;
    }
}

void prefetcher::count_recall(uint32_t layer, const std::vector<found_use> & found) {
    std::vector<bool> used(experts, false);
    for (const found_use & use : found) {
        used[use.expert] = true;
    }
    for (uint32_t p = 0; p < expert_predictors; p++) {
        const proposal & said = proposed(expert_predictor(p), layer);
        if (!said.given) {
            continue;
        }
        prefetch_counters & counters = states[p].layers[layer];
        counters.uses += found.size();
        for (size_t i = 0; i < std::min(found.size(), said.foreseen.size()); i++) {
            counters.right += used[said.foreseen[i].expert] ? 1 : 0;
        }
    }
}

void prefetcher::propose_from_history(slot_cache & cache, uint32_t layer, const std::vector<expert_use> & uses) {
    if (depth(expert_predictor::history) == 0) {
        history.reset();
        return;
    }
    const uint32_t            next     = (layer + 1) % layers;
    std::vector<foreseen_use> foreseen = cache.foresee(next);
    if (foreseen.empty()) {
        if (!history) {
            history = std::make_unique<foresight_policy>(cache.shape());
        }
        history->used(layer, uses);
        foreseen = history->foresee(next);
    }
    propose(expert_predictor::history, next, std::move(foreseen));
}

void prefetcher::end_window(double now) {
    busy = std::clamp(stall / std::max(now - window_begun, 1e-9), 0.0, 1.0);
    for (uint32_t p = 0; p < expert_predictors; p++) {
        state_of_predictor & state = states[p];
        uint64_t             reads = 0;
        for (const prefetch_outcome & outcome : state.window) {
            reads += outcome.reads();
        }
        if (controls[p].depth > 0 && reads < prefetch_reads_least && ++state.quiet < quiet_windows) {
            continue;  // too few to judge by: the window becomes longer
        }
        controls[p]  = prefetch_adjust(controls[p], state.window, std::min(prefetch_depth_limit(expert_predictor(p)), layers));
        state.window = {};
        state.quiet  = 0;
    }
    stall        = 0.0;
    batches      = 0;
    window_begun = now;
}

// Seconds until `now` in which reads were waited for.
double prefetcher::busy_until(double now) const {
    return busy_before + (waited_for > 0 ? now - busy_since : 0.0);
}

double prefetcher::free_since(const reading & one, double now) const {
    return std::max(0.0, now - one.begun - (busy_until(now) - one.begun_busy));
}

void prefetcher::wanted(double now) {
    busy_since = waited_for++ == 0 ? now : busy_since;
}

void prefetcher::arrived(uint32_t layer, uint32_t expert, double now) {
    for (reading & one : under_way[layer]) {
        if (one.expert == expert && !one.ended()) {
            one.free = free_since(one, now);
        }
    }
}

void prefetcher::read(double now, double seconds) {
    if (--waited_for == 0) {
        busy_before += now - busy_since;
    }
    if (seconds > 0.0) {
        demand = demand == 0.0 ? seconds : (1.0 - demand_smoothing) * demand + demand_smoothing * seconds;
    }
}

prefetch_report prefetcher::report(expert_predictor by) const {
    const state_of_predictor & state = states[size_t(by)];
    prefetch_report            result{ expert_predictor_name(by), controls[size_t(by)], state.saved, state.lost, state.layers };
    result.control.depth = depth(by);
    return result;
}

void prefetcher::restart_counters() {
    demand = 0.0;
    for (state_of_predictor & state : states) {
        state.saved = state.lost = 0.0;
        state.layers.assign(layers, {});
    }
}

}  // namespace moebius
