// What a run that goes on has to have in common with its beginning: with anything else it would be another run from there on, and nobody would see it.
#pragma once

#include "model/gguf-file.h"
#include "run-settings.h"

namespace moebius {

struct run_origin {
    std::string base;               // its file's name, for people
    uint64_t    base_checksum = 0;  // base_checksum()
    uint64_t    examples      = 0;  // of the training part
    uint64_t    data_checksum = 0;  // dataset_file::checksum()
};

json       origin_to_json(const run_origin & origin);
run_origin origin_from_json(const json & from);  // throws what json throws

// Throw request.invalid with what it was begun with and what there is now.
void refuse_other_base(const run_origin & begun, const gguf_model & now);
void refuse_other_origin(const run_origin & begun, const run_origin & now);

// Both as train.open was given them. Free to change are where and how a run is computed (threads, devices, activationBytes, the paths of model and data), how long it is (schedule.steps, schedule.decaySteps) and what
// only validation does (expertUsedCount.validateEach). Throws request.invalid, which names every other setting that differs.
void refuse_other_settings(const json & begun, const json & now);

// A run that goes on has the experts that it began with, whatever its data says now. Throws as run_settings_of.
run_settings settings_to_go_on(const json & wanted, const expert_choice & chosen);

}  // namespace moebius
