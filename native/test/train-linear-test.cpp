// Gradients of products with weights: frozen of many types, trainable, and with low-rank adapters.
#include "train-check.h"
#include "train/graph/ops-linear.h"

using namespace moebius_test;

namespace {

// W^T x; w: [n_in, n_out], x: [n_in, columns]
numbers linear(const numbers & w, const numbers & x, size_t n_in, size_t n_out) {
    numbers y;
    for (size_t t = 0; t < x.size() / n_in; t++) {
        for (size_t o = 0; o < n_out; o++) {
            double sum = 0;
            for (size_t i = 0; i < n_in; i++) {
                sum += w[o * n_in + i] * x[t * n_in + i];
            }
            y.push_back(sum);
        }
    }
    return y;
}

void trainable_weights() {
    check_op({ "linear", { { 13, 7 }, { 13, 5 } },
               [](graph_maker & maker, const std::vector<train_value> & of) { return train_linear(maker.tape, of[0], of[1]); },
               [](const std::vector<numbers> & of) { return linear(of[0], of[1], 13, 7); } });
}

// Types of weights in files: not integers, and not those that ggml makes of activations only.
bool is_of_weights(ggml_type type) {
    return type == GGML_TYPE_F32 || (ggml_get_type_traits(type)->to_float && type != GGML_TYPE_Q8_1 && type != GGML_TYPE_Q8_K);
}

void frozen_weights_of_every_kind() {
    for (int i = 0; i < GGML_TYPE_COUNT; i++) {
        const auto type = ggml_type(i);
        if (!is_of_weights(type)) {
            continue;
        }
        check_op({ std::string("linear of ") + ggml_type_name(type), { { 256, 6, 1, false, type }, { 256, 3 } },
                   [](graph_maker & maker, const std::vector<train_value> & of) { return train_linear(maker.tape, of[0].tensor, of[1]); },
                   [](const std::vector<numbers> & of) { return linear(of[0], of[1], 256, 6); } });
    }
}

void adapters(bool dropout) {
    // W, a, b, x
    std::vector<float> mask;
    for (int i = 0; i < 32 * 5; i++) {
        mask.push_back(i % 4 == 0 ? 0.0f : 4.0f / 3.0f);
    }
    check_op({ "lora", { { 32, 6, 1, false, GGML_TYPE_Q8_0 }, { 32, 3 }, { 3, 6 }, { 32, 5 } },
               [&](graph_maker & maker, const std::vector<train_value> & of) {
                   lora_weights lora{ of[1], of[2], 0.75f, nullptr };
                   if (dropout) {
                       lora.dropout = maker.floats(mask, 32, 5);
                   }
                   return train_lora(maker.tape, of[0].tensor, lora, of[3]);
               },
               [&](const std::vector<numbers> & of) {
                   numbers masked = of[3];
                   for (size_t i = 0; i < masked.size() && dropout; i++) {
                       masked[i] *= mask[i];
                   }
                   numbers       y     = linear(of[0], of[3], 32, 6);
                   const numbers added = linear(of[2], linear(of[1], masked, 32, 3), 3, 6);
                   for (size_t i = 0; i < y.size(); i++) {
                       y[i] += 0.75 * added[i];
                   }
                   return y;
               } });
}

}  // namespace

int main() {
    trainable_weights();
    frozen_weights_of_every_kind();
    adapters(false);
    adapters(true);
    report_ops();
    return check_result();
}
