#include "guardian.h"

#include "settings.h"

#include <algorithm>
#include <cmath>

namespace moebius {

namespace {

double median_of(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const size_t half = values.size() / 2;
    return values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
}

double spread_around(double median, std::vector<double> values) {
    for (double & value : values) {
        value = std::fabs(value - median);
    }
    return 1.4826 * median_of(std::move(values));
}

}  // namespace

guardian::guardian(const guardian_settings & settings) : settings(settings) {
    require_setting(settings.window >= 8, "window", double(settings.window), "8 or more");
    require_setting(settings.quiet_steps >= 8, "quiet_steps", double(settings.quiet_steps), "8 or more");
    require_setting(settings.spike > 0, "spike", settings.spike, "above 0");
    require_setting(settings.enormous >= settings.spike, "enormous", settings.enormous, "at least spike, " + std::to_string(settings.spike));
    require_setting(settings.spikes_in_row > 0, "spikes_in_row", double(settings.spikes_in_row), "above 0");
    require_setting(settings.far > 1, "far", settings.far, "above 1");
    require_setting(settings.still_in_row > 0, "still_in_row", double(settings.still_in_row), "above 0");
    require_setting(settings.bad_in_row > 0, "bad_in_row", double(settings.bad_in_row), "above 0");
    require_setting(settings.least_spread > 0, "least_spread", settings.least_spread, "above 0");
    require_setting(settings.least_spread_share >= 0, "least_spread_share", settings.least_spread_share, "0 or more");
}

guardian_verdict guardian::judge_bad(double loss, double gradient_norm) {
    std::ostringstream reason;
    reason << "The loss is " << loss << " and the gradient's norm " << gradient_norm;
    if (++kept.bad < settings.bad_in_row) {
        reason << ": the batch is skipped.";
        return { guardian_action::skip, reason.str() };
    }
    reason << ", and " << kept.bad << " steps in a row had no numbers: the parameters are no longer sound.";
    kept.spikes = kept.bad = 0;
    return { guardian_action::roll_back, reason.str() };
}

// When it did not help the last time, it begins anew from here.
guardian_verdict guardian::go_back_once(double loss, const std::string & reason) {
    kept.spikes = 0;
    if (!kept.has_rolled_back) {
        kept.has_rolled_back = true;
        return { guardian_action::roll_back, reason + "." };
    }
    kept = {};
    kept.losses.push_back(loss);
    kept.good = 1;
    return { guardian_action::go_on, reason + ". Going back did not help: such losses count as usual from now on." };
}

guardian_verdict guardian::judge_loss(double loss) {
    std::ostringstream reason;
    if (kept.good >= settings.quiet_steps) {
        const double median = median_of(kept.losses);
        const double spread = std::max({ spread_around(median, kept.losses), settings.least_spread, settings.least_spread_share * std::fabs(median) });
        const double height = (loss - median) / spread;
        if (height > settings.spike) {
            kept.spikes++;
            reason << "The loss is " << loss << ", " << height << " times their spread (" << spread << ") above the median of the last " << kept.losses.size() << ", " << median;
            if (height <= settings.enormous && kept.spikes < settings.spikes_in_row) {
                reason << ": it is taken, as a batch may be that hard; " << settings.spikes_in_row << " in a row are not.";
                return { guardian_action::go_on, reason.str() };
            }
            if (height <= settings.enormous) {
                reason << ", and more than " << settings.spike << " times for " << kept.spikes << " steps in a row";
            }
            return go_back_once(loss, reason.str());
        }
    } else if (kept.good > 0 && loss > settings.chance && loss > settings.far * kept.losses.front()) {
        reason << "The loss is " << loss << ", above " << settings.chance << " of a model that knows nothing, and was " << kept.losses.front() << " " << kept.good << " steps before: the learning rate is likely too high";
        return go_back_once(loss, reason.str());
    }
    kept.has_rolled_back = false;
    kept.spikes          = 0;
    kept.good++;
    kept.losses.push_back(loss);
    if (int64_t(kept.losses.size()) > settings.window) {
        kept.losses.erase(kept.losses.begin());
    }
    return {};
}

// Empty, unless it is time to say it.
std::string guardian::stillness(double gradient_norm) {
    kept.still = gradient_norm == 0 ? kept.still + 1 : 0;
    if (kept.still != settings.still_in_row && (kept.still == 0 || kept.still % 100 != 0)) {
        return "";
    }
    return "The gradient has been exactly 0 for " + std::to_string(kept.still) + " steps: nothing is learnt any more. Go back to an earlier checkpoint, with a lower learning rate.";
}

guardian_verdict guardian::judge(double loss, double gradient_norm) {
    if (!std::isfinite(loss) || !std::isfinite(gradient_norm)) {
        return judge_bad(loss, gradient_norm);
    }
    kept.bad                    = 0;
    const std::string still     = stillness(gradient_norm);
    const int64_t     count     = kept.still;
    guardian_verdict  verdict   = judge_loss(loss);
    kept.still                  = count;  // whatever began anew
    verdict.reason += (verdict.reason.empty() || still.empty() ? "" : " ") + still;
    return verdict;
}

void guardian::restore(guardian_state state) {
    const bool is_sound = state.good >= int64_t(state.losses.size()) && int64_t(state.losses.size()) == std::min(state.good, settings.window) && state.spikes >= 0 && state.spikes < settings.spikes_in_row &&
                          state.bad >= 0 && state.bad < settings.bad_in_row && state.still >= 0 && std::all_of(state.losses.begin(), state.losses.end(), [](double loss) { return std::isfinite(loss); });
    if (!is_sound) {
        throw user_error("request.invalid", "The saved guardian remembers " + std::to_string(state.losses.size()) + " losses of " + std::to_string(state.good) + " good steps, " + std::to_string(state.spikes) + " spikes and " + std::to_string(state.bad) +
                                                " bad steps: this run's, which looks back on " + std::to_string(settings.window) + ", can't go on from that. Resume with the saved run's settings.",
                         { { "losses", state.losses.size() }, { "good", state.good } });
    }
    kept = std::move(state);
}

}  // namespace moebius
