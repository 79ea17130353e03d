#include "run.h"

#include <algorithm>
#include <chrono>
#include <numeric>

namespace moebius {

preference_report report_of(const preference_sums & sums) {
    const double pairs = double(std::max<int64_t>(sums.pairs, 1));
    return { sums.right / pairs, (sums.chosen_reward - sums.rejected_reward) / pairs, sums.chosen_reward / pairs, sums.rejected_reward / pairs };
}

std::optional<validation_report> train_run::validate(const std::function<bool()> & go_on) {
    std::optional<validation_report> report = validation ? validate_with({}, go_on) : std::nullopt;
    const used_count_settings &      used   = how.routers.used;
    for (int64_t count = used.least; report && used.validates_each && count <= used.most; count++) {
        const auto each = validate_with(std::vector<int64_t>(size_t(shape.layers), count), go_on);
        if (!each) {
            return std::nullopt;
        }
        report->by_used_count.push_back({ count, each->loss });
        report->seconds += each->seconds;
    }
    return report;
}

// used_counts: as train_pass has them. Nothing: stopped.
std::optional<validation_report> train_run::validate_with(const std::vector<int64_t> & used_counts, const std::function<bool()> & go_on) {
    const auto        began = std::chrono::steady_clock::now();
    validation_report report;
    preference_sums   pairs;
    packing           all({ std::max(how.batch_tokens, validation->longest()), 1, 0, false }, packing_source_of(*validation));
    while (all.cursor().epoch == 0) {
        if (!go_on()) {
            return std::nullopt;
        }
        const packed_batch       packed = read_batch(*validation, all.next(), std::max(how.batch_tokens, validation->longest()), target_weighting::tokens);
        const std::vector<float> losses = pass.forward(packed.batch, true, used_counts).row_losses;
        if (how.objective == train_objective::dpo) {
            add_preferences(pairs, packed, losses, pass.forward(packed.batch, false, used_counts).row_losses, how.preference);
        }
        report.loss = std::accumulate(losses.begin(), losses.end(), report.loss);
        report.targets += int64_t(packed.batch.rows.size());
    }
    report.loss /= double(std::max<int64_t>(report.targets, 1));
    if (how.objective == train_objective::dpo) {
        report.loss       = pairs.loss / double(std::max<int64_t>(pairs.pairs, 1));
        report.preference = report_of(pairs);
    }
    report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    return report;
}

}  // namespace moebius
