#include "prefetch-control.h"

#include <algorithm>

namespace moebius {

namespace {

constexpr double   least_floor   = 0.2;  // bytes in vain are never free
constexpr double   least_again   = 0.6;  // after a pause
constexpr double   least_top     = 0.75;
constexpr double   step_up       = 0.15;
constexpr double   step_down     = 0.05;
constexpr uint32_t pause_most    = 64;   // windows
constexpr uint32_t depth_pause   = 16;
constexpr double   late_share    = 0.25; // of the reads that were used; from it on more depth is tried

prefetch_control tried_again(prefetch_control control) {
    control.depth = 1;
    control.least = least_again;
    return control;
}

prefetch_control switched_off(prefetch_control control) {
    control.depth      = 0;
    control.pause      = control.next_pause;
    control.next_pause = std::min(2 * control.next_pause, pause_most);
    return control;
}

// At this probability a read saves as much as it loses.
double break_even(const prefetch_outcome & all) {
    if (all.wasted == 0 || all.lost <= 0.0) {
        return 0.0;
    }
    const uint64_t used  = all.in_time + all.late;
    const double   saves = used > 0 ? all.saved / double(used) : 0.0;
    const double   loses = all.lost / double(all.wasted);
    return loses / (saves + loses);
}

}  // namespace

const char * expert_predictor_name(expert_predictor predictor) {
    constexpr const char * names[expert_predictors] = { "router", "tokens", "history" };
    return names[size_t(predictor)];
}

uint32_t prefetch_depth_limit(expert_predictor predictor) {
    constexpr uint32_t limits[expert_predictors] = { 3, prefetch_depth_most, 1 };
    return limits[size_t(predictor)];
}

prefetch_outcome & prefetch_outcome::operator+=(const prefetch_outcome & other) {
    in_time += other.in_time;
    late += other.late;
    wasted += other.wasted;
    saved += other.saved;
    lost += other.lost;
    return *this;
}

prefetch_control prefetch_adjust(const prefetch_control & now, const prefetch_feedback & seen, uint32_t depth_limit) {
    prefetch_control next = now;
    next.no_deeper        = now.no_deeper > 0 ? now.no_deeper - 1 : 0;
    if (now.depth == 0) {
        next.pause = now.pause > 0 ? now.pause - 1 : 0;
        return next.pause == 0 ? tried_again(next) : next;
    }
    prefetch_outcome all;
    for (const prefetch_outcome & outcome : seen) {
        all += outcome;
    }
    if (all.reads() < prefetch_reads_least) {
        next.least = std::max(least_floor, now.least - step_down);  // perhaps it was too choosy
        return next;
    }
    const prefetch_outcome & deepest = seen[now.depth - 1];
    if (now.depth > 1 && deepest.reads() >= prefetch_reads_least && deepest.worth() < 0.0) {
        next.depth--;
        next.no_deeper = depth_pause;
        return next;
    }
    if (all.worth() < 0.0) {
        next.least = std::max(break_even(all), now.least + step_up);
        return next.least > least_top ? switched_off(next) : next;
    }
    next.least      = std::clamp(break_even(all), std::max(least_floor, now.least - step_down), least_top);
    next.next_pause = prefetch_control().next_pause;
    if (double(all.late) > late_share * double(all.in_time + all.late) && now.depth < depth_limit && next.no_deeper == 0) {
        next.depth++;
    }
    return next;
}

}  // namespace moebius
