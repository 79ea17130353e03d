// What adapters leave out of their inputs in a step (dropout of LoRA, arXiv 2106.09685, as PEFT does it).
#pragma once

#include "train/graph/routing.h"

#include <optional>
#include <string>

namespace moebius {

// Where a pass's masks begin: a function of the run's seed, its step and the batch. Nothing: it leaves nothing out.
using dropout_stream = std::optional<uint64_t>;

// [n, columns]: 0 for that share of the numbers, 1 / (1 - share) for the others. A function of stream, tensor and place alone: `columns` says what a column is, and
// wherever in a graph it stands, it has the same numbers.
std::vector<float> dropout_mask(uint64_t stream, const std::string & tensor, int64_t n, const std::vector<int32_t> & columns, float share);

// The mask for the input of an adapter of `weight`, written; null: none.
ggml_tensor * dropout_input(train_tape & tape, const routing_inputs::writer & write, const dropout_stream & stream, const ggml_tensor * weight, float share,
                            const std::vector<int32_t> & columns);

}  // namespace moebius
