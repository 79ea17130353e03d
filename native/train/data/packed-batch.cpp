#include "packed-batch.h"

namespace moebius {

namespace {

void append(packed_batch & packed, uint64_t example, const dataset_sequence & sequence, target_weighting weighting) {
    token_batch &   batch = packed.batch;
    packed_sequence added{ example, int64_t(batch.tokens.size()), int64_t(sequence.tokens.size()), int64_t(batch.rows.size()), 0 };
    for (size_t t = 0; t < sequence.tokens.size(); t++) {
        if (t > 0 && sequence.learnt[t]) {
            batch.rows.push_back(int32_t(batch.tokens.size()) - 1);
            batch.labels.push_back(sequence.tokens[t]);
        }
        batch.tokens.push_back(sequence.tokens[t]);
        batch.positions.push_back(int32_t(t));
    }
    added.targets      = int64_t(batch.rows.size()) - added.first_target;
    const float weight = weighting == target_weighting::tokens ? 1.0f : 1.0f / float(added.targets);
    batch.weights.resize(batch.rows.size(), weight);
    batch.lengths.push_back(added.tokens);
    packed.sequences.push_back(added);
}

}  // namespace

double packed_batch::fill() const { return batch_tokens > 0 ? double(batch.tokens.size()) / double(batch_tokens) : 0; }

packed_batch pack(const std::vector<dataset_example> & examples, uint64_t batch_tokens, target_weighting weighting) {
    packed_batch packed;
    packed.batch_tokens = batch_tokens;
    for (const dataset_example & example : examples) {
        if (example.sequences.size() == 2) {
            packed.pairs.push_back({ packed.sequences.size(), packed.sequences.size() + 1, int64_t(example.entry.prompt) });
        }
        for (const dataset_sequence & sequence : example.sequences) {
            append(packed, example.number, sequence, weighting);
        }
    }
    const size_t tokens = packed.batch.tokens.size();
    if (tokens > batch_tokens) {
        throw user_error("request.invalid", std::to_string(examples.size()) + " examples have " + std::to_string(tokens) + " tokens, and a batch has room for " + std::to_string(batch_tokens) + ".",
                         { { "tokens", tokens }, { "batchTokens", batch_tokens } });
    }
    return packed;
}

packed_batch read_batch(dataset_file & data, const std::vector<uint64_t> & examples, uint64_t batch_tokens, target_weighting weighting) {
    std::vector<dataset_example> read;
    for (const uint64_t example : examples) {
        read.push_back(data.example(example));
    }
    return pack(read, batch_tokens, weighting);
}

}  // namespace moebius
