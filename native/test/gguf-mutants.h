// Seeded damage to a real GGUF file. The same seed always gives the same mutant.
#pragma once

#include "gguf-document.h"

#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace moebius_test {

struct mutant {
    std::string                                   kind;    // what was done, for the report
    std::string                                   header;  // replaces the original's header
    std::vector<std::pair<uint64_t, std::string>> patches; // offset in the data section, bytes
    int64_t                                       length_change = 0;  // bytes cut from (negative) or added to the end
};

class mutant_maker {
  public:
    explicit mutant_maker(const std::string & path);

    mutant make(uint64_t seed) const;

    // Writes the mutant of the original to `path`; a file that already holds the original or an earlier mutant written by
    // this function is patched instead of copied whole.
    void write(const mutant & mutant, const std::string & path);

    const std::string & original() const { return bytes_; }
    size_t              header_size() const { return header_size_; }

  private:
    std::string   bytes_;  // the whole original
    gguf_document document_;
    size_t        header_size_;

    std::string                              written_path_;
    std::vector<std::pair<uint64_t, size_t>> dirty_;  // offsets and lengths in the written file that differ
};

}  // namespace moebius_test
