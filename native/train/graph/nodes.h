// Groups of ggml nodes that several ops emit. Nothing here knows of gradients.
#pragma once

#include "tape.h"

namespace moebius {

// a^T b, summed in F32 (Vulkan sums in F16 unless told); a: [k, m, ...], b: [k, n, ...] -> [m, n, ...]
ggml_tensor * product(train_tape & tape, ggml_tensor * a, ggml_tensor * b);

// A matrix [n_in, n_out], or a stack of them, of any type in F32, exactly as get_rows would give its rows; an F32 one as it is. Contiguous.
// Throws user_error model.unsupported where the device can't convert this type.
ggml_tensor * dequantised(train_tape & tape, ggml_tensor * matrix);

// What a frozen matrix [n_in, n_out] of any type makes of x: F32 [n_in, columns] -> [n_out, columns]
ggml_tensor * through_matrix(train_tape & tape, ggml_tensor * matrix, ggml_tensor * x);

// The gradient of x: of F32 [n_out, columns] -> [n_in, columns]
ggml_tensor * back_through_matrix(train_tape & tape, ggml_tensor * matrix, ggml_tensor * gradient);

// The gradient of the matrix: sum over columns of x gradient^T. x: F32 [n_in, columns], gradient: F32 [n_out, columns] -> [n_in, n_out]
ggml_tensor * back_to_matrix(train_tape & tape, ggml_tensor * x, ggml_tensor * gradient);

// Rows of a matrix [n, rows] of any type; ids: I32 [m] -> F32 [n, m]
ggml_tensor * rows_of(train_tape & tape, ggml_tensor * matrix, ggml_tensor * ids);

// What broadcasting summed over: a gradient [n, ...] down to the shape of `like`, which is that shape, [n], [1, ...] (one number a row) or one number.
ggml_tensor * reduced_to(train_tape & tape, ggml_tensor * gradient, const ggml_tensor * like);

// One number of each row: x: F32 [n, rows], contiguous; at: I32 [rows] -> [1, rows]
ggml_tensor * one_of_each_row(train_tape & tape, ggml_tensor * x, ggml_tensor * at);

// softmax over n, and log(sum(exp)) of each row [1, rows], which stays finite: largest - log(softmax of the largest).
struct softmax_nodes {
    ggml_tensor * probabilities = nullptr;  // [n, rows]
    ggml_tensor * log_sum       = nullptr;  // [1, rows]
};
softmax_nodes softmax_with_log_sum(train_tape & tape, ggml_tensor * x);

// Matrices side by side: [n, m_i] -> [n, sum of counts]. A null piece is zeros. `counts` has a number for each piece; not all are null.
ggml_tensor * joined_columns(train_tape & tape, const std::vector<ggml_tensor *> & pieces, const std::vector<int64_t> & counts);

// Columns [begin, begin + count) of a contiguous matrix [n, m], as a view.
ggml_tensor * columns_of(train_tape & tape, ggml_tensor * matrix, int64_t begin, int64_t count);

}  // namespace moebius
