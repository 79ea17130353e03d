// The order of examples in an epoch, in constant memory.
#pragma once

#include <array>
#include <cstdint>

namespace moebius {

// A permutation of [0, examples) that follows from seed and epoch alone: any place of it can be asked for, so that a run goes on where it was.
//
// A balanced Feistel network over the next even power of two (M. Luby, C. Rackoff, "How to construct pseudorandom permutations", 1988), walked along
// its cycle until it is below `examples` (J. Black, P. Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002): at most 4 steps on average from
// 16 examples on. It is for shuffling, not for secrets.
class epoch_order {
  public:
    epoch_order(uint64_t seed, uint64_t epoch, uint64_t examples);

    // position < examples
    uint64_t example_at(uint64_t position) const;

  private:
    uint64_t permuted(uint64_t value) const;

    static constexpr size_t rounds = 8;

    uint64_t                     examples;
    uint32_t                     half_bits;
    std::array<uint64_t, rounds> keys;
};

}  // namespace moebius
