#include "example-sizes.h"

#include "train/graph/counter-random.h"

#include <algorithm>
#include <cmath>

namespace moebius {

namespace {

constexpr int64_t batches_looked_at = 64;

// At least one of two tokens or more; a sequence's first is never learnt.
uint32_t learnt_of(uint32_t tokens, double share) {
    return std::min(tokens - 1, std::max<uint32_t>(1, uint32_t(std::lround(share * double(tokens)))));
}

dataset_sequence random_sequence(uint32_t tokens, uint32_t targets, uint64_t stream, int64_t vocabulary) {
    dataset_sequence made;
    for (uint32_t i = 0; i < tokens; i++) {
        made.tokens.push_back(int32_t(random_bits(stream + i) % uint64_t(vocabulary)));
        made.learnt.push_back(i >= tokens - targets ? 1 : 0);
    }
    return made;
}

packed_batch batch_of(const std::vector<dataset_entry> & entries, uint64_t batch_tokens, target_weighting weighting, int64_t vocabulary) {
    std::vector<dataset_example> examples;
    for (const dataset_entry & entry : entries) {
        dataset_example example{ examples.size(), entry, {} };
        for (int64_t s = 0; s < entry.sequences(); s++) {
            example.sequences.push_back(random_sequence(entry.tokens[s], entry.targets[s], random_bits(2 * examples.size() + uint64_t(s)), vocabulary));
        }
        examples.push_back(std::move(example));
    }
    return pack(examples, batch_tokens, weighting);
}

uint64_t tokens_of(const std::vector<dataset_entry> & entries) {
    uint64_t sum = 0;
    for (const dataset_entry & entry : entries) {
        sum += entry.all_tokens();
    }
    return sum;
}

int64_t sequences_of(const std::vector<dataset_entry> & entries) {
    int64_t sum = 0;
    for (const dataset_entry & entry : entries) {
        sum += entry.sequences();
    }
    return sum;
}

dataset_entry entry_of(uint32_t tokens, double learnt, bool is_pair) {
    dataset_entry made;
    made.is_pair = is_pair;
    for (size_t s = 0; s < size_t(made.sequences()); s++) {
        made.tokens[s]  = tokens;
        made.targets[s] = learnt_of(tokens, learnt);
    }
    return made;
}

// The longest example and, as far as there is room, those of a batch.
std::vector<dataset_entry> with_the_longest(const std::vector<dataset_entry> & batch, const example_sizes & sizes, uint64_t room) {
    const bool                 is_pair = batch.front().is_pair;
    std::vector<dataset_entry> made    = { entry_of(uint32_t(std::max<uint64_t>(2, sizes.longest / (is_pair ? 2 : 1))), sizes.learnt, is_pair) };
    uint64_t                   left    = room - std::min(room, made.front().all_tokens());
    for (const dataset_entry & entry : batch) {
        if (entry.all_tokens() <= left) {
            left -= entry.all_tokens();
            made.push_back(entry);
        }
    }
    return made;
}

}  // namespace

example_sizes sizes_of(dataset_file & data) {
    return { data.examples(), data.longest(), double(data.targets()) / double(std::max<uint64_t>(1, data.tokens())), [&data](uint64_t i) { return data.entry(i); } };
}

example_sizes sizes_of(const std::vector<length_count> & lengths, double learnt, bool are_pairs) {
    example_sizes         made;
    std::vector<uint64_t> ends;
    for (const length_count & each : lengths) {
        made.examples += each.examples;
        made.longest = std::max<uint64_t>(made.longest, each.examples > 0 ? uint64_t(each.tokens) * (are_pairs ? 2 : 1) : 0);
        ends.push_back(made.examples);
    }
    made.learnt = learnt;
    made.entry  = [lengths, ends, learnt, are_pairs](uint64_t i) {
        return entry_of(lengths[size_t(std::upper_bound(ends.begin(), ends.end(), i) - ends.begin())].tokens, learnt, are_pairs);
    };
    return made;
}

planned_batches plan_batches(const run_settings & how, const example_sizes & sizes, int64_t vocabulary) {
    packing deal({ how.batch_tokens, packing_settings().look_ahead, how.seed, true }, { sizes.examples, sizes.longest, [&sizes](uint64_t i) { return sizes.entry(i).all_tokens(); } });
    std::vector<std::vector<dataset_entry>> batches;
    uint64_t                                tokens = 0, examples = 0;
    const int64_t                           all    = std::min(batches_looked_at, how.schedule.steps * how.batches_per_step);
    while (int64_t(batches.size()) < all) {
        std::vector<dataset_entry> entries;
        for (const uint64_t example : deal.next()) {
            entries.push_back(sizes.entry(example));
        }
        tokens += tokens_of(entries);
        examples += entries.size();
        batches.push_back(std::move(entries));
    }
    planned_batches made;
    made.tokens           = double(tokens) / double(batches.size());
    made.batches_of_epoch = double(sizes.examples) * double(batches.size()) / double(examples);
    const auto make       = [&](const std::vector<dataset_entry> & entries) { return batch_of(entries, how.batch_tokens, how.weighting, vocabulary); };
    const auto most       = [&](const auto & of) { return *std::max_element(batches.begin(), batches.end(), [&](const auto & a, const auto & b) { return of(a) < of(b); }); };
    const auto fullest    = most(tokens_of);
    made.usual            = make(most([&](const auto & entries) { return -std::abs(double(tokens_of(entries)) - made.tokens); }));
    made.largest          = { make(fullest), make(most(sequences_of)), make(with_the_longest(fullest, sizes, how.batch_tokens)) };
    return made;
}

}  // namespace moebius
