// Which experts a run adapts: those that its data uses most (expert-specialised fine-tuning, ESFT: Z. Wang et al., arXiv 2407.01906).
#pragma once

#include "run-settings.h"

#include <functional>

namespace moebius {

// affinities: [layers][experts], nothing below 0 -> of each layer the fewest experts, the largest first (of equals the first), whose share of the layer's sum reaches top_p.
// Layers without any affinity have none. Throws file.corrupt: they are no numbers.
expert_choice choose_by_affinity(const std::vector<std::vector<double>> & affinities, double top_p);

// The settings of a run with its experts chosen, if their affinity is to decide and they are not yet: from a sample of the run's own first batches, passed through the base as it is. The base is read for it and
// forgotten again. go_on: asked before each batch, with the share of the sample that was looked at (0 to 1); false: nothing. Throws what train_run throws; request.invalid: a model without experts.
std::optional<run_settings> with_chosen_experts(run_settings settings, const std::function<bool(double)> & go_on);

}  // namespace moebius
