// A batch as passes take it, of whole examples side by side: nothing is padded.
#pragma once

#include "dataset-file.h"
#include "token-batch.h"

namespace moebius {

// What a learnt token counts in the loss: each token the same, or each sequence the same (1 / its learnt tokens).
enum class target_weighting { tokens, sequences };

struct packed_sequence {
    uint64_t example      = 0;             // number in the dataset
    int64_t  begin        = 0, tokens = 0;   // of the batch's tokens
    int64_t  first_target = 0, targets = 0;  // of the batch's rows
};

// Two sequences of the batch that a preference is about.
struct packed_pair {
    size_t  chosen = 0, rejected = 0;
    int64_t prompt = 0;  // tokens that both begin with and neither learns
};

struct packed_batch {
    token_batch                  batch;      // the last token of a sequence predicts nothing, the token before a learnt one predicts it
    std::vector<packed_sequence> sequences;  // as in batch.lengths
    std::vector<packed_pair>     pairs;
    uint64_t                     batch_tokens = 0;  // that there was room for

    double fill() const;  // share of batch_tokens that is used
};

// Throws user_error request.invalid when they don't fit.
packed_batch pack(const std::vector<dataset_example> & examples, uint64_t batch_tokens, target_weighting weighting);

// Those of these numbers. Throws what dataset_file::example throws, too.
packed_batch read_batch(dataset_file & data, const std::vector<uint64_t> & examples, uint64_t batch_tokens, target_weighting weighting);

}  // namespace moebius
