#include "check.h"
#include "experts/policy/cost-model.h"

using namespace moebius;

namespace {

constexpr batch_cost fast{ 100e-6, 20e-6, 5e-6 };
constexpr batch_cost slow{ 400e-6, 20e-6, 5e-6 };

void observe(cost_model & model, const batch_cost & truth, int times) {
    for (int i = 0; i < times; i++) {
        const int experts = 1 + i % 4, tokens = experts * (1 + i % 3);
        model.observe(experts, tokens, truth.of(experts, tokens));
    }
}

void learns() {
    cost_model model(fast);
    CHECK_NEAR(model.estimate().of(3, 6), fast.of(3, 6), 1e-9);
    observe(model, slow, 200);
    CHECK_NEAR(model.estimate().of(3, 6), slow.of(3, 6), 1e-6);
    CHECK_NEAR(model.estimate().fixed, slow.fixed, 30e-6);
}

// What seemed slow is thought fast again after some time without it, and not at once.
void forgets_what_is_not_seen() {
    cost_model model(fast);
    observe(model, slow, 200);
    for (int i = 0; i < 50; i++) {
        model.fade();
    }
    CHECK(model.estimate().of(1, 1) > 0.9 * slow.of(1, 1));
    for (int i = 0; i < 550; i++) {
        model.fade();
    }
    CHECK_NEAR(model.estimate().of(1, 1), fast.of(1, 1), 5e-6);
}

}  // namespace

int main() {
    learns();
    forgets_what_is_not_seen();
    return moebius_test::check_result();
}
