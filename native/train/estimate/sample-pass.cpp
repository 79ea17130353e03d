#include "sample-pass.h"

#include <chrono>

namespace moebius {

pass_seconds learn_from(train_pass & pass, const token_batch & batch, const run_settings & how, adapter & of) {
    const auto   began  = std::chrono::steady_clock::now();
    const bool   is_dpo = how.objective == train_objective::dpo;
    pass_seconds made;
    pass_result  seen;
    if (is_dpo) {
        pass.forward(batch, false);
        seen = pass.forward_backward(batch, how.router_losses, of, 0, [](const std::vector<float> & losses) { return std::vector<float>(losses.size(), 1.0f); });
    } else {
        seen = pass.forward_backward(batch, how.router_losses, of);
    }
    made.all            = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    made.forward        = std::move(seen.forward_seconds);
    made.backward       = std::move(seen.backward_seconds);
    made.forward_passes = is_dpo ? 2 : 1;
    made.kept_bytes     = seen.kept_bytes;
    return made;
}

}  // namespace moebius
