// Trained numbers cut into pieces of fixed size, for threads: what is computed for a piece depends on no other, so bits don't depend on the number of threads.
#pragma once

#include "train/adapter/adapter.h"

#include <functional>

namespace moebius {

// Numbers that share a scale in 8-bit optimiser states. Pieces begin at the begin of a block.
constexpr size_t block_numbers = 256;

struct parameter_chunk {
    size_t parameter;     // which
    size_t begin, count;  // numbers of it; never of two matrices of a stack
    size_t block;         // the first one's, counted within the parameter
};

// All numbers of `parameters`, in order. Blocks begin anew with each matrix of a stack, so an expert's state never depends on another expert.
std::vector<parameter_chunk> parameter_chunks(const std::vector<train_parameter> & parameters);

// Blocks of one parameter: n2 times those of a matrix.
size_t block_count(const train_parameter & parameter);

// work(i) for 0 <= i < count, each once, on `threads` threads (at least 1; the caller's among them), in any order. An exception of `work` comes out here.
void for_each_chunk(size_t count, int threads, const std::function<void(size_t)> & work);

}  // namespace moebius
