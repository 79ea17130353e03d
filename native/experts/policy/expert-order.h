// In which order the experts of a layer lie on disk, so that those that are wanted together lie side by side. Pure.
//
// Neighbours are read in one piece: a token that chose the set S makes |S| pieces less one for every pair of neighbours in S. Over a recording
// the pieces are fewest where the sum of co-uses over neighbouring pairs is largest, which is the heaviest path through all experts. (ExFlow,
// arXiv 2401.08383, places experts by affinity over devices; here the place is a position in a file.)
#pragma once

#include <cstdint>
#include <vector>

namespace moebius {

// How many tokens chose both of two experts of a layer.
class co_use_counts {
  public:
    explicit co_use_counts(uint32_t experts) : experts(experts), counts(size_t(experts) * experts, 0) {}

    // The distinct experts of one token.
    void add(const std::vector<uint32_t> & chosen);

    uint32_t size() const { return experts; }
    uint64_t of(uint32_t a, uint32_t b) const { return counts[size_t(a) * experts + b]; }

  private:
    uint32_t              experts;
    std::vector<uint32_t> counts;  // symmetric
};

// [position] -> expert: greedily joined pairs, improved by turning and moving pieces of the path until nothing helps. Experts that were never
// chosen together keep the order of their numbers, so without counts it is just that.
std::vector<uint32_t> expert_order(const co_use_counts & counts);

// Sum of co-uses over neighbours.
uint64_t neighbours_co_use(const co_use_counts & counts, const std::vector<uint32_t> & order);

// Pieces in which the chosen experts lie. positions: [expert].
uint32_t pieces_of(const std::vector<uint32_t> & chosen, const std::vector<uint32_t> & positions);

// order: a permutation.
std::vector<uint32_t> positions_of(const std::vector<uint32_t> & order);

}  // namespace moebius
