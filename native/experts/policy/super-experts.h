// The handful of experts that a model cannot do without. Pure.
#pragma once

#include "cache-policy.h"

namespace moebius {

struct super_expert {
    expert_ref expert;
    float      peak = 0.0f;  // the largest magnitude of its output
};

// Super experts (Su et al., arXiv 2507.23279): a few experts of early layers whose down projections produce, at some tokens, the massive activations that later
// layers use as attention sinks. Which ones they are depends on the model and not on the text, so that a short run finds them.
//
// `peaks`: [layer][expert] the largest magnitude that a value of the expert's output (before its gate weight) had so far; 0: not seen. One is found whose peak is
// above the 99.5th percentile of all and above a tenth of the largest, as the paper has it. There, the layers are also known in which massive activations form in
// the hidden state; here, the peak itself has to be massive: 50 times the median of all (Sun et al., arXiv 2402.17762, call 1000 times the median activation massive;
// the strongest expert of a model that has none was measured at 5 times the median peak). Without that every model would have one.
//
// Highest peak first. Empty while less than half of the experts were seen: see enough_peaks.
std::vector<super_expert> find_super_experts(const std::vector<std::vector<float>> & peaks);

// Whether half of the experts were seen.
bool enough_peaks(const std::vector<std::vector<float>> & peaks);

}  // namespace moebius
