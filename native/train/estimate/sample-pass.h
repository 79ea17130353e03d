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

// How tokens of a sample come to their experts, as in the run's steps.
class sample_routing {
  public:
    // used: experts of a token of every layer, where steps draw their number; else nothing. Throws what check_router_settings does.
    sample_routing(const train_pass & pass, const run_settings & how, int64_t used);
    sample_routing(const sample_routing &)             = delete;
    sample_routing & operator=(const sample_routing &) = delete;

    const routing_plan & plan() const { return made; }

  private:
    std::optional<stand_ins> averages;  // of default-moe
    routing_plan             made;
};

// Adds gradients to `of`. Throws what train_pass does.
pass_seconds learn_from(train_pass & pass, const token_batch & batch, const run_settings & how, const sample_routing & routing, adapter & of);

}  // namespace moebius
