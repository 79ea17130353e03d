// The learning rate of each step: a pure function of the step, so a run that resumes needs nothing saved.
#pragma once

#include <cstdint>
#include <string>

namespace moebius {

// After the warm-up, with t from 0 (its end) to 1 (the run's end), full = learning_rate, last = full * final_fraction:
enum class schedule_kind {
    constant,  // full
    linear,    // full + t (last - full)
    cosine,    // last + (full - last) (1 + cos(pi t)) / 2, arXiv 1608.03983 without restarts
    wsd,       // full, and linearly to last over the final decay_steps: warm-up, stable, decay, arXiv 2404.06395 (whose decay may be any falling function)
    power,     // min(full, batch_sequences * power_a * n^power_b), n: tokens seen with this step, and the same decay from where it then is; Power Scheduler, arXiv 2408.13359
};

struct learning_rate_schedule {
    schedule_kind kind           = schedule_kind::constant;
    double        learning_rate  = 0;  // the highest; above 0
    int64_t       steps          = 0;  // of the whole run, counted as updates of the parameters
    int64_t       warmup_steps   = 0;  // step s (from 0) of these has (s + 1) / warmup_steps of the rate at their end: the first isn't wasted on a rate of 0
    int64_t       decay_steps    = 0;  // wsd and power: the last ones
    double        final_fraction = 0;  // 0 to 1: what is reached just after the last step (linear, cosine, wsd, power)
    // power: a and b as the paper found them for language models with muP. Full rates of adapters are far below what they ask for
    // (8 sequences a step: 2e-4 until 1.6e10 tokens), so runs of usual length need a smaller a to have any of it.
    double        power_a         = 4;
    double        power_b         = -0.51;  // below 0
    int64_t       batch_sequences = 0;      // power: sequences and tokens of one step, accumulated batches included
    int64_t       step_tokens     = 0;
};

const char * schedule_name(schedule_kind kind);

// Of "constant", "linear", "cosine", "wsd", "power"; throws request.invalid for others.
schedule_kind schedule_named(const std::string & name);

// Throws request.invalid for one that can't be: no steps, warm-up and decay longer than the run, rates not above 0.
void check_schedule(const learning_rate_schedule & schedule);

// step: from 0; steps behind the last have the last's. The schedule has been checked.
double learning_rate_at(const learning_rate_schedule & schedule, int64_t step);

}  // namespace moebius
