#include "low-precision.h"

#include <algorithm>
#include <cstring>

namespace moebius {

namespace {

constexpr ggml_type low_types[] = { GGML_TYPE_Q4_0, GGML_TYPE_Q3_K, GGML_TYPE_Q2_K };

bool fits(const expert_part & part, ggml_type type) {
    return part.n_in % ggml_blck_size(type) == 0 && ggml_row_size(type, part.n_in) < ggml_row_size(part.type, part.n_in);
}

expert_part low_part(expert_part part, ggml_type type) {
    const ggml_type best = fits(part, type) ? type : GGML_TYPE_Q4_0;
    if (fits(part, best)) {
        part.type  = best;
        part.bytes = ggml_row_size(best, part.n_in) * uint64_t(part.n_out);
    }
    return part;
}

}  // namespace

std::vector<std::string> low_precision_names() {
    return { "q4_0", "q3_k", "q2_k" };
}

ggml_type low_precision_type(const std::string & name) {
    const std::vector<std::string> names = low_precision_names();
    const auto                     found = std::find(names.begin(), names.end(), name);
    return found == names.end() ? GGML_TYPE_COUNT : low_types[found - names.begin()];
}

expert_layout low_precision_layout(const expert_layout & full, ggml_type type) {
    expert_layout low = full;
    for (expert_layer & layer : low.layers) {
        layer.packed = {};
        for (expert_part & part : layer.parts) {
            part = low_part(part, type);
        }
    }
    return low;
}

void requantise(const expert_part & full, const uint8_t * from, const expert_part & low, uint8_t * into) {
    if (full.type == low.type) {
        std::memcpy(into, from, full.bytes);
        return;
    }
    const ggml_to_float_t to_float = ggml_get_type_traits(full.type)->to_float;
    const size_t          from_row = ggml_row_size(full.type, full.n_in), into_row = ggml_row_size(low.type, low.n_in);
    std::vector<float>    row(size_t(full.n_in));
    for (int64_t i = 0; i < full.n_out; i++, from += from_row, into += into_row) {
        const float * values = row.data();
        if (full.type == GGML_TYPE_F32) {
            values = reinterpret_cast<const float *>(from);
        } else {
            to_float(from, row.data(), full.n_in);
        }
        ggml_quantize_chunk(low.type, values, into, 0, 1, full.n_in, nullptr);
    }
}

}  // namespace moebius
