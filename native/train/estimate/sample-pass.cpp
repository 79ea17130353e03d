#include "sample-pass.h"

#include <algorithm>
#include <chrono>

namespace moebius {

sample_routing::sample_routing(const train_pass & pass, const run_settings & how, int64_t used) {
    const base_shape & shape = pass.computed_shape();
    check_router_settings(how.routers, shape, routed_run_of(how));
    if (how.routers.gradient == router_gradient::default_moe) {
        averages.emplace(shape.layers, shape.experts, shape.n_embd, how.routers.beta);
    }
    made = { {}, how.routers.gradient, how.routers.reach, averages ? &*averages : nullptr };
    if (used > 0) {
        made.experts_used.assign(size_t(shape.layers), used);
        std::fill_n(made.experts_used.begin(), shape.dense_layers, 0);
    }
}

pass_seconds learn_from(train_pass & pass, const token_batch & batch, const run_settings & how, const sample_routing & routing, adapter & of) {
    const auto   began  = std::chrono::steady_clock::now();
    const bool   is_dpo = how.objective == train_objective::dpo;
    pass_seconds made;
    pass_result  seen;
    if (is_dpo) {
        pass.forward(batch, false, routing.plan().experts_used);
        seen = pass.forward_backward(batch, how.router_losses, of, 0, [](const std::vector<float> & losses) { return std::vector<float>(losses.size(), 1.0f); }, routing.plan());
    } else {
        seen = pass.forward_backward(batch, how.router_losses, of, 0, {}, routing.plan());
    }
    made.all            = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    made.forward        = std::move(seen.forward_seconds);
    made.backward       = std::move(seen.backward_seconds);
    made.forward_passes = is_dpo ? 2 : 1;
    made.kept_bytes     = seen.kept_bytes;
    return made;
}

}  // namespace moebius
