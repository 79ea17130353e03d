// How long the examples of some data are, which is all that an estimate needs to know of it, and the batches that packing makes of them.
#pragma once

#include "train/data/packed-batch.h"
#include "train/data/packing.h"
#include "train/run/run-settings.h"

#include <functional>

namespace moebius {

struct example_sizes {
    uint64_t examples = 0;
    uint64_t longest  = 0;  // tokens, of a pair both sequences'
    double   learnt   = 0;  // share of all tokens
    std::function<dataset_entry(uint64_t)> entry;  // of example i; only what it says of tokens, targets and pairs counts
};

// data must outlive it.
example_sizes sizes_of(dataset_file & data);

// So many examples of so many tokens; of pairs each sequence.
struct length_count {
    uint32_t tokens   = 0;
    uint64_t examples = 0;
};

// learnt: share of the tokens.
example_sizes sizes_of(const std::vector<length_count> & lengths, double learnt, bool are_pairs);

struct planned_batches {
    double       tokens           = 0;  // of a batch, mean
    double       batches_of_epoch = 0;
    packed_batch usual;                 // one of about that many
    std::vector<packed_batch> largest;  // the one with the most tokens, the one with the most sequences, and one with the longest example there is
};

// As packing deals the examples, judged by its first batches; their tokens are random. Throws user_error request.invalid: no examples, or one that is longer than a batch.
planned_batches plan_batches(const run_settings & how, const example_sizes & sizes, int64_t vocabulary);

}  // namespace moebius
