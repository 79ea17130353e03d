// A batch through the layers of a sample, as a run learns from it.
#pragma once

#include "train/pass/pass.h"
#include "train/run/run-settings.h"

namespace moebius {

struct pass_seconds {
    double              all = 0;
    std::vector<double> forward, backward;  // [layers]
    int                 forward_passes = 1;
    uint64_t            kept_bytes     = 0;  // activations, from forward to backward pass
};

// Adds gradients to `of`. Throws what train_pass does.
pass_seconds learn_from(train_pass & pass, const token_batch & batch, const run_settings & how, adapter & of);

}  // namespace moebius
