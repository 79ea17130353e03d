// Replays of load on a described rig: they count what they say, no policy sees the future, and ours balances what drifts.
#include "check.h"
#include "experts/simulate/device-replay.h"
#include "experts/simulate/rebalancers.h"

#include <numeric>

using namespace moebius;

namespace {

// Hand-computed: two devices, four experts, loads 6 2 / 1 1.
void the_replay_counts_what_it_says() {
    const std::vector<load_batch> batches(4, load_batch{ { { 6, 2, 1, 1 } } });
    device_replay_settings        settings;
    settings.rig    = { { 1, 1 }, { 2, 2 } };
    settings.policy = "static";
    settings.window = 2;
    device_replay_result result = replay_on_devices(batches, settings, [] {});
    CHECK(std::fabs(result.balance_mean - 8.0 / 5) < 1e-12);
    CHECK(std::fabs(result.survived_devices - 7.0 / 10) < 1e-12);          // 5 of 8, 2 of 2
    CHECK(std::fabs(result.survived_copies - (2.5 + 2 + 1 + 1) / 10) < 1e-12);
    CHECK_EQUAL(result.windows, 2u);
    CHECK_EQUAL(result.copies_moved, 0u);
    CHECK_EQUAL(result.makespan, 32.0);
    settings.rig.slots = { 4, 4 };
    settings.policy    = "adaptive";
    result             = replay_on_devices(batches, settings, [] {});
    CHECK_EQUAL(result.balance_mean, 1.0);
    CHECK_EQUAL(result.survived_devices, 1.0);
}

void no_policy_sees_the_future() {
    synthetic_load_settings made;
    made.experts = 16;
    made.batches = 12;
    auto       past  = synthetic_loads(made);
    auto       other = past;
    other.back().tokens.assign(made.layers, std::vector<uint32_t>(16, 0));
    other.back().tokens[0][3] = 1000;
    for (const std::string & name : rebalancer_names()) {
        const layer_rig rig{ { 1, 1, 1 }, { 8, 8, 8 } };
        const auto      a = rebalancer_make(name, 16, rig), b = rebalancer_make(name, 16, rig);
        for (size_t batch = 0; batch < past.size(); batch++) {
            CHECK(a->placement() == b->placement());
            a->observe(past[batch].tokens[0], past[batch].routes_of(0), past[batch].importance[0]);
            b->observe(other[batch].tokens[0], other[batch].routes_of(0), other[batch].importance[0]);
            if (batch % 3 == 2) {
                a->end_window();
                b->end_window();
            }
        }
    }
}

void drifting_load_is_balanced() {
    synthetic_load_settings made;
    made.batches = 200;
    const auto batches = synthetic_loads(made);
    for (const auto & batch : batches) {
        CHECK_EQUAL(std::accumulate(batch.tokens[0].begin(), batch.tokens[0].end(), 0u), made.used * made.batch_tokens);
    }
    device_replay_settings settings;
    settings.rig            = { std::vector<double>(8, 1.0), std::vector<uint32_t>(8, 16) };
    settings.policy         = "static";
    const auto fixed        = replay_on_devices(batches, settings, [] {});
    settings.policy         = "eplb";
    const auto eplb         = replay_on_devices(batches, settings, [] {});
    settings.policy         = "adaptive";
    const auto adaptive     = replay_on_devices(batches, settings, [] {});
    CHECK(fixed.balance_mean > 1.3);
    CHECK(adaptive.balance_mean < 1.05);
    CHECK(adaptive.survived_devices > eplb.survived_devices);
    CHECK(adaptive.copies_moved < eplb.copies_moved);
}

}  // namespace

int main() {
    the_replay_counts_what_it_says();
    no_policy_sees_the_future();
    drifting_load_is_balanced();
    return moebius_test::check_result();
}
