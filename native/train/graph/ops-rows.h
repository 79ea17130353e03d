// Rows of a matrix (ggml's columns: one token each) taken out, put together and added up. Ids are the host's.
#pragma once

#include "tape.h"

namespace moebius {

// Which row each copy is of, both ways: with it the gradient of a gather is gathers too, which every backend has on all its threads
// (ggml_get_rows_back: one thread on the CPU; missing on Metal).
struct row_map {
    ggml_tensor * rows    = nullptr;  // I32 [copies], of the source
    ggml_tensor * copies  = nullptr;  // I32 [rows, most], of each row
    ggml_tensor * present = nullptr;  // F32 [1, rows, most], 0 where a row has fewer than `most`; null: every row has as many
};

// x: [n, rows] -> [n, copies]
train_value train_gather(train_tape & tape, const train_value & x, const row_map & map);

// The sum of each row's copies: y: [n, copies] -> [n, rows]. Adds in the order of the copies.
train_value train_combine(train_tape & tape, const train_value & y, const row_map & map);

// Rows of a table [n, rows] of any type, F32 if it is trainable; ids: I32 [tokens], repeated as they like -> [n, tokens]
train_value train_embedding(train_tape & tape, const train_value & table, ggml_tensor * ids);

// Some numbers of x [n, rows]. at: I32 [count], row * n + column, each at most once; back: I32 [n * rows], which of `at` takes a number;
// present: F32 [n, rows], 1 where one does and 0 elsewhere -> [1, count]
struct number_map {
    ggml_tensor * at      = nullptr;
    ggml_tensor * back    = nullptr;
    ggml_tensor * present = nullptr;
};
train_value train_pick(train_tape & tape, const train_value & x, const number_map & map);

// x: [n, columns] in parts of `counts` columns, as views; their sum is `columns`.
std::vector<train_value> train_split(train_tape & tape, const train_value & x, const std::vector<int64_t> & counts);

// Parts [n, count] side by side.
train_value train_join(train_tape & tape, const std::vector<train_value> & parts);

}  // namespace moebius
