#include "dropout.h"

#include "train/graph/counter-random.h"

namespace moebius {

std::vector<float> dropout_mask(uint64_t stream, const std::string & tensor, int64_t n, const std::vector<int32_t> & columns, float share) {
    const uint64_t     of_tensor = random_stream(stream, tensor);
    const float        kept      = 1 / (1 - share);
    std::vector<float> mask;
    mask.reserve(size_t(n) * columns.size());
    for (const int32_t column : columns) {
        const uint64_t of_column = random_bits(of_tensor + uint64_t(column));
        for (int64_t i = 0; i < n; i++) {
            mask.push_back(random_unit(of_column + uint64_t(i)) < double(share) ? 0 : kept);
        }
    }
    return mask;
}

ggml_tensor * dropout_input(train_tape & tape, const routing_inputs::writer & write, const dropout_stream & stream, const ggml_tensor * weight, float share,
                            const std::vector<int32_t> & columns) {
    if (!stream || share == 0) {
        return nullptr;
    }
    ggml_tensor * const mask = tape.input(GGML_TYPE_F32, weight->ne[0], int64_t(columns.size()));
    write(mask, dropout_mask(*stream, weight->name, weight->ne[0], columns, share).data());
    return mask;
}

}  // namespace moebius
