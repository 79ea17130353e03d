// Where a model is: as llama.cpp and the expert store would put it on this machine, or as a plan says.
#pragma once

#include "estimate.h"
#include "experts/plan/tier-plan.h"
#include "plan-hits.h"
#include "plan-request.h"
#include "plan-speed.h"

namespace moebius {

// What load options make of it here. `memory`: their estimate, which names the devices; those after the options' own only hold copies of experts.
tier_plan plan_as_loaded(const gguf_model & file, const json & inspection, const load_options & options, const memory_estimate & memory, const expert_layout & layout);

// Bytes of a model's parts. `memory`: the estimate for this machine's CPU alone.
plan_sizes plan_sizes_of(const gguf_model & file, const memory_estimate & memory);

// Which experts are found where, from the slots that devices have.
plan_placement placement_of(const tier_plan & plan, const expert_layout & layout, const hit_rates & hits);

// placement of PlanResult.
json tier_plan_to_json(const tier_plan & plan, const std::vector<std::string> & devices, const expert_layout & layout);

}  // namespace moebius
