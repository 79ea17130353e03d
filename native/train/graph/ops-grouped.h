// Rows of many groups, each through a matrix of its own, on the CPU (cpu-product): frozen matrices of any type with or without low-rank adapters.
#pragma once

#include "cpu-product.h"

namespace moebius {

// A stack of matrices [n_in, n_out, ...] and its adapters.
struct grouped_matrix {
    ggml_tensor *            weight = nullptr;  // any type
    ggml_tensor *            lora_a = nullptr;  // F32 [n_in, r, ...]; null: no adapters
    ggml_tensor *            lora_b = nullptr;  // F32 [r, n_out, ...]
    float                    scale  = 1;        // alpha / r
    std::vector<int32_t>     places;            // [groups] their matrices in lora_a and lora_b, -1: the group has no adapter
    std::vector<train_value> a, b;              // [groups] these matrices; without a tensor: none
    train_value              input;             // F32 [n_in, rows] of the adapters, where dropout makes it another than that of the weight
};

// x: F32 [n_in, rows] -> for each stack W^T x + scale * b^T a^T x of each group's rows, [n_out, rows]
std::vector<train_value> train_grouped_linear(train_tape & tape, const train_value & x, const std::vector<row_group> & groups, const std::vector<grouped_matrix> & matrices);

}  // namespace moebius
