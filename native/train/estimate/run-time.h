// How long the steps of a run will take, by computing some of one.
#pragma once

#include "run-memory.h"

namespace moebius {

struct run_time {
    double  step_seconds    = 0;
    double  seconds         = 0;  // of all steps, without validation and checkpoints
    int64_t measured_layers = 0;  // which stand for all
    int64_t measured_tokens = 0;  // of the batch that went through them
    double  read_bandwidth  = 0;  // bytes a second of experts that are read in turns; 0: none are
};

// Reads a few layers and computes a batch of usual size forward and backward, as the run would, on the devices that it would use; the rest is as many times that. memory: of the run, which fits.
// go_on: asked between measurements; false: nothing. Throws what train_pass does.
std::optional<run_time> estimate_run_time(const run_outline & run, const planned_batches & batches, const run_memory & memory, const std::function<bool()> & go_on);

}  // namespace moebius
