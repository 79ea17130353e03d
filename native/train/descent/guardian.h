// Watches a run: says of each step whether to go on, to skip its batch, or to go back to the last good state.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace moebius {

// A loss is compared with the median of the last good ones, in units of their spread: 1.4826 times the median distance from the median, which is a normal
// distribution's standard deviation and, like the median, unmoved by up to half of the losses being odd.
struct guardian_settings {
    int64_t window        = 64;  // losses looked back on: with fewer the spread is a matter of chance (at 64 good to a fifth), with many more the loss has fallen meanwhile
    int64_t quiet_steps   = 20;  // the first good losses, of which none is called a spike: they fall fastest, and a median needs some. At least 8
    // A spike is this many spreads above. 6: one in 1e9 if losses are normally distributed; batches' losses have heavier tails (Student's t of 4 degrees: 1 in 700),
    double  spike         = 6;
    int64_t spikes_in_row = 3;   // so it takes three in a row (3e-9 then) to go back
    double  enormous      = 20;  // or one that hardly any batch explains (1 in 80,000 even with those tails)
    // The least spread, in nats and as a share of the median: losses of learned-by-heart data are all but equal, and a change of less is no harm to undo.
    double  least_spread       = 0.05;
    double  least_spread_share = 0.05;
    // In the first steps: a loss above `chance`, that of a model which knows nothing (the vocabulary's logarithm), and so many times the run's first one is no batch's fault
    double  chance        = std::numeric_limits<double>::infinity();
    double  far           = 1.25;
    int64_t still_in_row  = 3;   // so many gradients that are exactly 0 are told, and then every hundredth
    int64_t bad_in_row    = 3;   // so many NaN or infinite ones in a row are not the batches' fault but the parameters'
};

enum class guardian_action {
    go_on,
    skip,       // don't update: this batch's loss or gradient isn't a number
    roll_back,  // restore the last good state, and go on behind the batches that were seen since
};

struct guardian_verdict {
    guardian_action action = guardian_action::go_on;
    std::string     reason;  // for people, with the numbers; empty for most go_on, not for a loss that is taken though it is a spike, nor for gradients that stay 0
};

// All that a guardian remembers; to be stored with a checkpoint.
struct guardian_state {
    std::vector<double> losses;  // the last good ones, oldest first
    int64_t             good   = 0;  // losses so far that were no spike
    int64_t             spikes = 0, bad = 0;  // in a row, up to now
    bool                has_rolled_back = false;  // for spikes, and none of the losses since was good
    int64_t             still  = 0;  // gradients of exactly 0 in a row, up to now
};

class guardian {
  public:
    // Throws request.invalid for settings that can't be.
    explicit guardian(const guardian_settings & settings);

    // Once a step, before its update: `loss` a mean over its supervised tokens, `gradient_norm` before clipping. What it says depends on nothing but the numbers it was told.
    // After roll_back it counts spikes anew. When going back did not help, the losses are taken as they are: other data may be harder for good.
    guardian_verdict judge(double loss, double gradient_norm);

    const guardian_state & state() const { return kept; }
    void                   restore(guardian_state state);  // throws request.invalid for one that no run leaves

  private:
    guardian_verdict judge_bad(double loss, double gradient_norm);
    guardian_verdict judge_loss(double loss);
    guardian_verdict go_back_once(double loss, const std::string & reason);
    std::string      stillness(double gradient_norm);

    guardian_settings settings;
    guardian_state    kept;
};

}  // namespace moebius
