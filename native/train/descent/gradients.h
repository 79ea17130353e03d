// How large the gradients of a step are, whether they are numbers at all, and clipping them.
#pragma once

#include "train/adapter/adapter.h"

namespace moebius {

struct gradient_summary {
    double              norm = 0;        // of all gradients together, Euclidean; not finite if one of them isn't
    std::vector<double> norms;           // of each parameter
    int64_t             not_finite = 0;  // numbers that are infinite or NaN
    std::string         first_bad;       // the first parameter that has some; empty: none has
};

// Sums in double precision, in an order that doesn't depend on `threads`.
gradient_summary summarise_gradients(const std::vector<train_parameter> & parameters, int threads);

// Where their norm is above `most` (> 0), makes gradients shorter to just that, and says what they were multiplied with: 1 when they were not touched.
// `norm`: finite, summarise_gradients' (arXiv 1211.5063).
float clip_gradients(std::vector<train_parameter> & parameters, double norm, double most, int threads);

}  // namespace moebius
