// Products with weights: frozen of any type, trainable, and low-rank adapters on frozen ones.
#pragma once

#include "tape.h"

namespace moebius {

// W^T x with a frozen weight of any type that llama.cpp reads, dequantised forward and backward: gradients are those of the very function that
// is computed. weight: [n_in, n_out], contiguous; x: F32 [n_in, columns] -> [n_out, columns]
train_value train_linear(train_tape & tape, ggml_tensor * weight, const train_value & x);

// The same with a trainable weight: F32 [n_in, n_out].
train_value train_linear(train_tape & tape, const train_value & weight, const train_value & x);

// A low-rank adapter (LoRA, arXiv 2106.09685), in the layout of llama.cpp's adapter files.
struct lora_weights {
    train_value   a;                  // F32 [n_in, r]
    train_value   b;                  // F32 [r, n_out]
    float         scale   = 1;        // alpha / r; rsLoRA: alpha / sqrt(r)
    ggml_tensor * dropout = nullptr;  // F32 [n_in, columns]: 0 or 1 / (1 - p) for the adapter's input; null: none
};

// scale * b^T a^T (x * dropout) -> [n_out, columns]
train_value train_low_rank(train_tape & tape, const lora_weights & lora, const train_value & x);

// W^T x + the same
train_value train_lora(train_tape & tape, ggml_tensor * weight, const lora_weights & lora, const train_value & x);

}  // namespace moebius
