// Experts in fewer bits: sizes, fallbacks, and how far the values are from the originals.
#include "check.h"
#include "experts/store/low-precision.h"

#include <cmath>
#include <random>

using namespace moebius;

namespace {

expert_part part_of(ggml_type type, int64_t n_in, int64_t n_out) {
    expert_part part;
    part.type  = type;
    part.n_in  = n_in;
    part.n_out = n_out;
    part.bytes = ggml_row_size(type, n_in) * uint64_t(n_out);
    return part;
}

expert_part lowered(const expert_part & part, ggml_type type) {
    expert_layout full;
    full.experts = full.used = 1;
    full.layers  = { { 0, { part }, {} } };
    return low_precision_layout(full, type).layers[0].parts[0];
}

void types_and_bytes() {
    const expert_part full = part_of(GGML_TYPE_Q8_0, 512, 3);
    CHECK_EQUAL(lowered(full, GGML_TYPE_Q2_K).type, GGML_TYPE_Q2_K);
    CHECK_EQUAL(lowered(full, GGML_TYPE_Q2_K).bytes, 3 * ggml_row_size(GGML_TYPE_Q2_K, 512));
    CHECK_EQUAL(lowered(part_of(GGML_TYPE_Q8_0, 96, 3), GGML_TYPE_Q2_K).type, GGML_TYPE_Q4_0);  // no blocks of 256
    CHECK_EQUAL(lowered(part_of(GGML_TYPE_F16, 20, 3), GGML_TYPE_Q2_K).type, GGML_TYPE_F16);    // none of 32 either
    CHECK_EQUAL(lowered(part_of(GGML_TYPE_Q4_0, 96, 3), GGML_TYPE_Q2_K).type, GGML_TYPE_Q4_0);
    CHECK_EQUAL(lowered(part_of(GGML_TYPE_Q2_K, 512, 3), GGML_TYPE_Q4_0).type, GGML_TYPE_Q2_K);  // fewer bits already
    for (const std::string & name : low_precision_names()) {
        CHECK(low_precision_type(name) != GGML_TYPE_COUNT);
    }
    CHECK_EQUAL(low_precision_type("q8_0"), GGML_TYPE_COUNT);
}

// Root of the mean squared error over that of the values.
double relative_error(ggml_type full_type, ggml_type type) {
    const expert_part               full = part_of(full_type, 512, 16), low = lowered(full, type);
    std::mt19937                    random(3);
    std::normal_distribution<float> normal;
    std::vector<float>              values(512 * 16), back(512 * 16);
    for (float & value : values) {
        value = normal(random);
    }
    std::vector<uint8_t> from(full.bytes), into(low.bytes);
    if (full_type == GGML_TYPE_F32) {
        std::memcpy(from.data(), values.data(), from.size());
    } else {
        ggml_quantize_chunk(full_type, values.data(), from.data(), 0, 16, 512, nullptr);
    }
    requantise(full, from.data(), low, into.data());
    double error = 0, sum = 0;
    for (int64_t row = 0; row < 16; row++) {
        ggml_get_type_traits(low.type)->to_float(into.data() + size_t(row) * ggml_row_size(low.type, 512), back.data() + row * 512, 512);
    }
    for (size_t i = 0; i < values.size(); i++) {
        error += std::pow(double(values[i]) - back[i], 2);
        sum += double(values[i]) * values[i];
    }
    return std::sqrt(error / sum);
}

void values_stay_near() {
    for (const ggml_type full : { GGML_TYPE_Q8_0, GGML_TYPE_F16, GGML_TYPE_F32 }) {
        const double q4 = relative_error(full, GGML_TYPE_Q4_0), q3 = relative_error(full, GGML_TYPE_Q3_K), q2 = relative_error(full, GGML_TYPE_Q2_K);
        CHECK(q4 > 0.01 && q4 < 0.12);
        CHECK(q3 > q4 && q3 < 0.25);
        CHECK(q2 > q3 && q2 < 0.5);
    }
}

}  // namespace

int main() {
    types_and_bytes();
    values_stay_near();
    return moebius_test::check_result();
}
