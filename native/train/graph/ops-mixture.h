// Experts that share the weights of one dense FFN and differ by their adapters: MixLoRA (arXiv 2404.15159).
#pragma once

#include "ops-experts.h"

namespace moebius {

// Sum over a token's experts e of weight * down_e(swiglu(gate_e x, up_e x)), where W_e = W + scale * (a_e b_e)^T. x: [n_embd, tokens]; weights: [1, assignments].
// ffn: weights are matrices [n_in, n_out], adapters stacks [n_in, r, experts] and [r, n_out, experts] of all three. The frozen products are made once for each token,
// not for each of its experts: of gate and up before the experts part, of down (which is linear) after their outputs are weighed and added up.
// Experts without tokens emit nothing. ffn is to outlive the tape's use.
expert_output train_mixture(train_tape & tape, const train_value & x, const train_value & weights, const expert_ffn & ffn, const routing_inputs & routing);

}  // namespace moebius
