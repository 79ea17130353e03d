// Examples that `moebius dataset --encode` wrote, by number. Format: main/training/data/README.md, "The encoded dataset".
#pragma once

#include "rpc/errors.h"

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

namespace moebius {

// What the index says of an example. Of a pair the first sequence is the chosen one, the second the rejected one.
struct dataset_entry {
    uint64_t offset    = 0;  // of its record
    uint64_t row       = 0;  // line or number of the row in its file
    uint32_t file      = 0;  // of the manifest's sources
    bool     is_pair   = false;
    bool     is_cut    = false;           // lost tokens to the limit it was encoded with
    uint32_t tokens[2] = { 0, 0 };        // of each sequence
    uint32_t targets[2] = { 0, 0 };       // of them, tokens that are learnt
    uint32_t prompt    = 0;               // tokens that both sequences of a pair begin with and neither learns
    uint32_t checksum  = 0;

    int64_t  sequences() const { return is_pair ? 2 : 1; }
    uint64_t all_tokens() const { return uint64_t(tokens[0]) + tokens[1]; }
};

struct dataset_sequence {
    std::vector<int32_t> tokens;
    std::vector<uint8_t> learnt;  // [tokens] 1 or 0; the first never is
};

struct dataset_example {
    uint64_t                      number = 0;
    dataset_entry                 entry;
    std::vector<dataset_sequence> sequences;  // one, or two of a pair
};

// One part of an encoded dataset, "train" or "validation", open for reading. Files are read, not mapped: one that is cut while
// it is open gives an error, where a mapping would kill the process. Not thread-safe.
class dataset_file {
  public:
    // folder: UTF-8. Reads the manifest and all of the index. Throws user_error: file.not-found, file.unreadable, file.version
    // (another version of the format), file.truncated, file.corrupt (what does not fit together).
    dataset_file(const std::string & folder, const std::string & part);

    uint64_t examples() const { return counts.examples; }
    uint64_t pairs() const { return counts.pairs; }
    uint64_t tokens() const { return counts.tokens; }
    uint64_t targets() const { return counts.targets; }
    // tokens of the longest example, of a pair both sequences: what a batch has to hold
    uint64_t longest() const { return counts.longest; }
    // of the model that it was encoded with: every token is below
    uint32_t vocabulary_size() const { return vocabulary; }
    // of the index, which has each example's: tells one dataset from another
    uint64_t checksum() const { return content; }

    // i < examples(). Throws user_error file.unreadable, file.truncated, file.corrupt (a checksum that does not fit).
    dataset_entry   entry(uint64_t i);
    dataset_example example(uint64_t i);

  private:
    struct part_counts {
        uint64_t examples = 0, pairs = 0, tokens = 0, targets = 0, longest = 0, example_bytes = 0, index_bytes = 0;
    };
    struct open_file {
        std::string   path;
        std::ifstream stream;
    };

    void read_manifest(const std::string & part);
    void take_counts(const json & manifest, const std::string & path, const std::string & part);
    void open(open_file & file, const std::string & name, uint64_t bytes);
    void check_index();
    void check_entry(uint64_t i, const dataset_entry & entry, uint64_t offset) const;
    void check_sequence(uint64_t i, const dataset_sequence & sequence, uint32_t targets) const;
    // bytes: [48] what was read
    dataset_entry read_entry(uint64_t i, uint8_t * bytes);
    void read(open_file & file, uint64_t offset, void * into, uint64_t bytes);
    [[noreturn]] void refuse(const std::string & path, const std::string & what) const;

    std::string folder;
    uint32_t    vocabulary = 0;
    uint64_t    sources    = 0;
    uint64_t    content    = 0;
    part_counts counts;
    open_file   index, records;
};

}  // namespace moebius
