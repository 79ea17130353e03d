// A prompt and the reply to it, priced on every device once; then forecast for any placement.
#pragma once

#include "experts/plan/fold.h"
#include "plan-hits.h"
#include "plan-speed.h"

namespace moebius {

struct turn_lengths {
    uint32_t prompt = 0, reply = 0;  // tokens
    uint32_t batch  = 0;             // tokens of the prompt that are evaluated together
};

struct turn_forecast {
    step_forecast prefill;  // of the whole prompt: its batches one after the other, as if they were one step
    step_forecast decode;   // of a token in the middle of the reply

    double seconds(const turn_lengths & lengths) const { return prefill.seconds + lengths.reply * decode.seconds; }
};

class planned_turn {
  public:
    // used: [devices] that may compute. All arguments but `used` and `check`, which is called between steps and may throw, outlive it.
    planned_turn(planned_model & model, const turn_lengths & lengths, const plan_machine & machine, const std::vector<bool> & used, const std::function<void()> & check);

    turn_forecast forecast(const plan_placement & placement) const;

    // Of the whole turn. hits: of single tokens.
    fold_costs costs(const plan_sizes & sizes, const hit_rates & hits) const;

  private:
    struct priced_step {
        step_prices prices;
        double      times = 0;  // in the turn
    };

    double spread_seconds(const plan_placement & placement) const;

    planned_model &          model;
    turn_lengths             lengths;
    const plan_machine &     machine;
    std::vector<priced_step> steps;  // batches of the prompt, and last the token
};

}  // namespace moebius
