#include "expert-matmul.h"

#include <thread>

namespace moebius {

void expert_matmul::prepare(uint32_t of_layer, uint32_t of_part, std::vector<int32_t> chosen, int64_t per_token, std::vector<const float *> from,
                            bool each, std::vector<float *> to) {
    layer      = of_layer;
    part       = of_part;
    ids        = std::move(chosen);
    used       = per_token;
    input      = std::move(from);
    input_each = each;
    output     = std::move(to);

    const expert_part & matrix = source.layout().layers[layer].parts[part];
    row_type                   = kernels.traits(matrix.type)->vec_dot_type;
    row_bytes                  = ggml_row_size(row_type, matrix.n_in);
    rows.resize(input.size() * row_bytes);

    std::vector<std::vector<uint32_t>> by_expert(source.layout().experts);
    for (uint32_t i = 0; i < ids.size(); i++) {
        by_expert[size_t(ids[i])].push_back(i);
    }
    uses.clear();
    members.clear();
    for (uint32_t e = 0; e < by_expert.size(); e++) {
        if (!by_expert[e].empty()) {
            uses.push_back({ e, uint32_t(by_expert[e].size()), 0.0f });
        }
    }
    source.begin(layer, uses);
    for (const expert_use & use : uses) {
        members.push_back(std::move(by_expert[use.expert]));
    }
    next_row = rows_ready = next_group = 0;
    failed                             = false;
}

void expert_matmul::quantise() {
    const ggml_from_float_t from_float = kernels.traits(row_type)->from_float;
    const int64_t           n_in       = source.layout().layers[layer].parts[part].n_in;
    for (uint32_t i = next_row++; i < input.size(); i = next_row++) {
        from_float(input[i], rows.data() + i * row_bytes, n_in);
        rows_ready.fetch_add(1, std::memory_order_release);
    }
    while (rows_ready.load(std::memory_order_acquire) < input.size()) {
        std::this_thread::yield();
    }
}

// An expert is one thread's, start to end: this path need not be the fastest.
void expert_matmul::multiply(uint32_t group) {
    const expert_part & matrix = source.layout().layers[layer].parts[part];
    const auto          dot    = kernels.traits(matrix.type)->vec_dot;
    const size_t        stride = ggml_row_size(matrix.type, matrix.n_in);
    const uint8_t *     weights = source.wait(layer, uses[group].expert, part);
    if (!weights) {
        failed = true;
        return;
    }
    for (const uint32_t index : members[group]) {
        const size_t    row = input_each ? index : index / size_t(used);
        const uint8_t * x   = rows.data() + row * row_bytes;
        for (int64_t r = 0; r < matrix.n_out; r++) {
            dot(int(matrix.n_in), output[index] + r, 0, weights + size_t(r) * stride, 0, x, 0, 1);
        }
    }
}

void expert_matmul::run() {
    quantise();
    for (uint32_t i = next_group++; i < uses.size(); i = next_group++) {
        multiply(i);
        source.finish(layer, uses[i].expert);
    }
}

}  // namespace moebius
