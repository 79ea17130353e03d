// `train.estimate` of the protocol, and what `train.open` refuses by it.
#pragma once

#include "rpc/dispatcher.h"
#include "train/run/run-settings.h"

namespace moebius {

// Throws user_error model.does-not-fit; what outline_of, dataset_file and plan_batches do.
void refuse_run_unless_it_fits(const run_settings & how);

void add_train_estimate_method(dispatcher & methods);

}  // namespace moebius
