// How local a model's routing is: whether the experts of the last tokens will do for the next ones. The measures are those of "Not All
// Models Suit Expert Offloading" (arXiv 2505.16056), defined here as stated below.
#pragma once

#include "cache-replay.h"

#include <optional>

namespace moebius {

// `tokens`: batches of one token each, replay_batches(trace, 1). `factor` times the experts that a token uses, rounded, is the size of a group
// or cache; at least 1, at most all.
uint32_t group_size(const replay_batches & tokens, double factor);

// Segment routing best performance: sequences are cut into segments of `length` tokens (a shorter rest is left out); in each segment and
// layer, a fixed group of experts is chosen that covers the most choices of its tokens. The share of choices covered, over all segments and
// layers; 0 without a whole segment. (Coverage is recall: experts of the group that nobody uses cost nothing.)
double segment_routing_performance(const replay_batches & tokens, double factor, uint32_t length);

// Segment cache best hit rate: that of a cache of the group's size in every layer which always knows the next `length` tokens
// ("lookahead-<length>"), 1 .. 1000. It may change what it holds with every token; with a length of the whole trace it is Belady's.
double segment_cache_hit_rate(const replay_batches & tokens, double factor, uint32_t length, const std::function<void()> & check = {});

struct consistency_row {
    uint32_t length  = 0;
    double   routing = 0.0;  // segment_routing_performance
    double   cache   = 0.0;  // segment_cache_hit_rate
};

struct consistency_report {
    double                       factor = 2.0;
    std::vector<consistency_row> rows;
    // 0: a cache of twice the active experts hits no more often than experts drawn at random would make it; 1: always. It is
    // (SCH(2, 16) - chance) / (1 - chance), chance being the share of a layer's experts that it holds.
    double                       suitability = 0.0;
};

consistency_report measure_consistency(const routing_trace & trace, const std::function<void()> & check = {});

struct slot_point {
    uint32_t slots    = 0;  // in every layer
    double   hit_rate = 0.0;
};

struct slot_advice {
    std::vector<slot_point> curve;   // ascending, from the experts that a token uses to all
    std::optional<uint32_t> target;  // fewest slots that reach the hit rate asked for; empty: only all of them would
    uint32_t                knee = 0;  // from here on another slot brings less than on the average (Kneedle, Satopaa et al. 2011)
};

// Replays `settings` with other numbers of slots. Between points of the curve the hit rate is taken to rise.
slot_advice advise_slots(const replay_batches & batches, replay_settings settings, double target_hit_rate);

}  // namespace moebius
