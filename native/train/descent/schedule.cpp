#include "schedule.h"

#include "settings.h"

#include <ggml.h>

#include <algorithm>
#include <cmath>

namespace moebius {

namespace {

constexpr const char * schedule_names[] = { "constant", "linear", "cosine", "wsd", "power" };  // of schedule_kind

bool has_decay(schedule_kind kind) {
    return kind == schedule_kind::wsd || kind == schedule_kind::power;
}

// The power law behind `steps` steps.
double power_rate(const learning_rate_schedule & s, int64_t steps) {
    return std::min(s.learning_rate, double(s.batch_sequences) * s.power_a * std::pow(double(steps) * double(s.step_tokens), s.power_b));
}

// Without warm-up and without the final decay, before its begin.
double undecayed_rate(const learning_rate_schedule & s, int64_t step) {
    return s.kind == schedule_kind::power ? power_rate(s, std::max(step + 1, s.warmup_steps)) : s.learning_rate;
}

// From `full` to its final fraction, t from 0 to 1.
double fall(const learning_rate_schedule & s, double full, double t) {
    return full * (1 + t * (s.final_fraction - 1));
}

}  // namespace

const char * schedule_name(schedule_kind kind) {
    return schedule_names[size_t(kind)];
}

schedule_kind schedule_named(const std::string & name) {
    const auto found = std::find(std::begin(schedule_names), std::end(schedule_names), name);
    if (found == std::end(schedule_names)) {
        throw user_error("request.invalid", "There is no schedule \"" + name + "\". Choose one of constant, linear, cosine, wsd, power.", { { "parameter", "schedule" }, { "value", name } });
    }
    return schedule_kind(found - std::begin(schedule_names));
}

void check_schedule(const learning_rate_schedule & s) {
    const auto steps = std::to_string(s.steps);
    require_setting(std::isfinite(s.learning_rate) && s.learning_rate > 0, "schedule.learningRate", s.learning_rate, "above 0");
    require_setting(s.steps > 0, "schedule.steps", double(s.steps), "above 0");
    require_setting(s.warmup_steps >= 0 && s.warmup_steps <= s.steps, "schedule.warmupSteps", double(s.warmup_steps), "0 to the run's steps, " + steps);
    require_setting(s.decay_steps >= 0 && s.decay_steps <= s.steps - s.warmup_steps, "schedule.decaySteps", double(s.decay_steps),
                    "0 to the run's " + steps + " steps less the warm-up's " + std::to_string(s.warmup_steps));
    require_setting(s.decay_steps == 0 || has_decay(s.kind), "schedule.decaySteps", double(s.decay_steps), "0 for a schedule that isn't wsd or power");
    require_setting(s.final_fraction >= 0 && s.final_fraction <= 1, "schedule.finalFraction", s.final_fraction, "0 to 1");
    if (s.kind == schedule_kind::power) {
        require_setting(std::isfinite(s.power_a) && s.power_a > 0, "schedule.powerA", s.power_a, "above 0");
        require_setting(std::isfinite(s.power_b) && s.power_b < 0, "schedule.powerB", s.power_b, "below 0");
        require_setting(s.batch_sequences > 0, "schedule.batchSequences", double(s.batch_sequences), "above 0");
        require_setting(s.step_tokens > 0, "step_tokens", double(s.step_tokens), "above 0");
    }
}

double learning_rate_at(const learning_rate_schedule & s, int64_t asked) {
    GGML_ASSERT(asked >= 0 && s.steps > 0);
    constexpr double pi   = 3.14159265358979323846;
    const int64_t    step = std::min(asked, s.steps - 1);
    if (step < s.warmup_steps) {
        return undecayed_rate(s, step) * double(step + 1) / double(s.warmup_steps);
    }
    const double t = double(step - s.warmup_steps) / double(s.steps - s.warmup_steps);
    switch (s.kind) {
        case schedule_kind::constant: return s.learning_rate;
        case schedule_kind::linear:   return fall(s, s.learning_rate, t);
        case schedule_kind::cosine:   return fall(s, s.learning_rate, (1 - std::cos(pi * t)) / 2);
        case schedule_kind::wsd:
        case schedule_kind::power:    break;
    }
    const int64_t begin = s.steps - s.decay_steps;
    return step < begin ? undecayed_rate(s, step) : fall(s, undecayed_rate(s, begin - 1), double(step - begin) / double(s.decay_steps));
}

}  // namespace moebius
