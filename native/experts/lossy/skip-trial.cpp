#include "skip-trial.h"

#include "experts/policy/miss-substitutes.h"

namespace moebius {

namespace {

thread_local skip_trial * in_force = nullptr;

}  // namespace

skip_trial::skip_trial(std::vector<double> above, std::function<void(const expert_batch &)> see) : above(std::move(above)), see(std::move(see)), outer(in_force) {
    in_force = this;
}

skip_trial::~skip_trial() {
    in_force = outer;
}

skip_trial * skip_trial::current() {
    return in_force;
}

void skip_trial::apply(expert_batch & batch) {
    if (see) {
        see(batch);
    }
    const std::vector<double>     unimportance = expert_unimportance(batch.ids, batch.weights, batch.used);
    std::vector<expert_precision> how(batch.ids.size(), expert_precision::full);
    for (size_t i = 0; i < how.size(); i++) {
        if (unimportance[i] > above[batch.layer]) {
            how[i] = expert_precision::skipped;
            skipped++;
        }
    }
    assignments += how.size();
    skip_experts(batch.ids, batch.weights, batch.used, how);
}

}  // namespace moebius
