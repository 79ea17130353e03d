// Measures how much a loaded model minds doing without secondary experts: experts/lossy/sensitivity.h.
#pragma once

#include "experts/lossy/sensitivity.h"
#include "loaded-model.h"

namespace moebius {

inline constexpr uint32_t calibration_chunk      = 128;   // tokens evaluated together, from an empty context
inline constexpr uint32_t calibration_tokens_most = 1024;  // of the text, from its beginning

// On at least two chunks of tokens: one half of the chunks tells the harm of each layer, the other half checks what budgets come to. Evaluations run between the batches
// of the model's generations, (layers + 1) for each chunk of the first half. `go_on` hears shares of the work, and throws to end it. Throws request.invalid: the model's
// experts are not in an expert cache, or the text is too short.
expert_sensitivity calibrate(loaded_model & model, const std::vector<llama_token> & tokens, const std::function<void(double)> & go_on);

}  // namespace moebius
