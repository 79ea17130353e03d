// Random numbers that are the same on every machine: the words of std::mt19937 are in the standard, its distributions and std::hash are not.
#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <string>

namespace moebius_test {

class same_numbers {
  public:
    // seed: any text; the same one gives the same numbers
    explicit same_numbers(const std::string & seed) : words(hash_of(seed)) {}

    // Mean 0, deviation 1, within 3.5: the sum of four uniform numbers.
    float next() {
        uint64_t sum = 0;
        for (int i = 0; i < 4; i++) {
            sum += words();
        }
        return float((double(sum) * 0x1p-32 - 2) * std::sqrt(3.0));
    }

    // Below `limit`, which is small.
    uint32_t below(uint32_t limit) { return uint32_t(words()) % limit; }

  private:
    static uint32_t hash_of(const std::string & text) {  // FNV-1a
        uint32_t hash = 0x811c9dc5u;
        for (const char letter : text) {
            hash = (hash ^ uint8_t(letter)) * 0x01000193u;
        }
        return hash;
    }

    std::mt19937 words;
};

}  // namespace moebius_test
