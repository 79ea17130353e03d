#include "gradients.h"

#include "optimiser-loops.h"
#include "parameter-chunks.h"
#include "settings.h"

#include <ggml.h>

#include <algorithm>
#include <cmath>

namespace moebius {

gradient_summary summarise_gradients(const std::vector<train_parameter> & parameters, int threads) {
    const std::vector<parameter_chunk> chunks = parameter_chunks(parameters);
    std::vector<double>                squares(chunks.size());
    std::vector<int64_t>               bad(chunks.size(), 0);
    for_each_chunk(chunks.size(), threads, [&](size_t i) {
        const float * first = &parameters[chunks[i].parameter].gradient[chunks[i].begin];
        squares[i]          = sum_of_squares(first, chunks[i].count);
        if (!std::isfinite(squares[i])) {  // no finite float's square is infinite as a double
            bad[i] = std::count_if(first, first + chunks[i].count, [](float x) { return !std::isfinite(x); });
        }
    });
    gradient_summary summary;
    summary.norms.resize(parameters.size(), 0.0);
    for (size_t i = 0; i < chunks.size(); i++) {
        if (bad[i] > 0 && summary.not_finite == 0) {
            summary.first_bad = parameters[chunks[i].parameter].name;
        }
        summary.not_finite += bad[i];
        summary.norms[chunks[i].parameter] += squares[i];
    }
    for (double & norm : summary.norms) {
        summary.norm += norm;
        norm = std::sqrt(norm);
    }
    summary.norm = std::sqrt(summary.norm);
    return summary;
}

float clip_gradients(std::vector<train_parameter> & parameters, double norm, double most, int threads) {
    require_setting(std::isfinite(most) && most > 0, "clip", most, "above 0 (leave it out for no clipping)");
    GGML_ASSERT(std::isfinite(norm));
    if (norm <= most) {
        return 1;
    }
    const float                        factor = float(most / norm);
    const std::vector<parameter_chunk> chunks = parameter_chunks(parameters);
    for_each_chunk(chunks.size(), threads, [&](size_t i) { multiply(&parameters[chunks[i].parameter].gradient[chunks[i].begin], chunks[i].count, factor); });
    return factor;
}

}  // namespace moebius
