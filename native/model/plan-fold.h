// The best split of a model over the devices of a machine: the search of experts/plan/fold on what plan-turn forecasts, and what to load it with.
#pragma once

#include "plan-turn.h"

namespace moebius {

struct split_forecast {
    fold          split;
    turn_forecast turn;
};

struct best_split {
    split_forecast chosen, coupled;
    uint32_t       tried = 0;
};

// What a plan may fill: most of what is free.
uint64_t usable_bytes(uint64_t free);

// hits: from a trace, if there is one; the search itself goes by `guess`. Chosen is never slower than coupled. Throws what fold_best does.
best_split find_split(const planned_turn & turn, const turn_lengths & lengths, const plan_sizes & sizes, const expert_layout & layout, const plan_rooms & rooms, const hit_rates & guess,
                      const hit_rates & hits);

// Makes `options` load the split. gpus: ids.
void apply_split(const fold & split, const expert_layout & layout, const std::vector<std::string> & gpus, load_options & options);

// folding of PlanResult.
json best_split_to_json(const best_split & found, const turn_lengths & lengths, const expert_layout & layout, const std::vector<std::string> & gpus, size_t blocks);

}  // namespace moebius
