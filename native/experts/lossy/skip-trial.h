// For calibration: leaves experts out of the batches that one thread evaluates, whether they would have to be read or not, and tells what the router weighed them with.
#pragma once

#include "experts/dispatch/expert-batch.h"

#include <functional>
#include <vector>

namespace moebius {

class skip_trial {
  public:
    // above: [layers] miss_thresholds::skip. `see` hears every batch in every layer before anything is left out of it; may be empty. In force on this thread, which
    // calls llama_decode, while it lives.
    explicit skip_trial(std::vector<double> above, std::function<void(const expert_batch &)> see = {});
    ~skip_trial();
    skip_trial(const skip_trial &)             = delete;
    skip_trial & operator=(const skip_trial &) = delete;

    // Of this thread; null: none.
    static skip_trial * current();

    void apply(expert_batch & batch);

    uint64_t assignments = 0, skipped = 0;

  private:
    std::vector<double>                       above;
    std::function<void(const expert_batch &)> see;
    skip_trial *                              outer;
};

}  // namespace moebius
