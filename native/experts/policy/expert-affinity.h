// How often two experts of a layer work for the same token. Pure.
//
// What ExFlow (arXiv 2401.08383) does with experts of consecutive layers: here a token's hidden state is back on the host after every layer, and what is saved by experts being
// together on a device is one row there and one back if they work for the same token in the same layer.
#pragma once

#include "token-assignment.h"

namespace moebius {

class expert_affinity {
  public:
    // Memory: experts^2 / 2 floats.
    explicit expert_affinity(uint32_t experts) : uses(experts, 0.0f), pairs(size_t(experts) * (experts - 1) / 2, 0.0f) {}

    void observe(const token_routes & routes);
    // Everything seen so far counts `memory` (0 to 1) as much.
    void fade(double memory);

    // Tokens that used both, faded. 0 for an expert with itself.
    double between(uint32_t a, uint32_t b) const { return a == b ? 0.0 : double(pairs[index(a, b)]); }
    // Share of the tokens of `a` that used `b`, too: 0 to 1.
    double share(uint32_t a, uint32_t b) const { return uses[a] > 0 ? between(a, b) / double(uses[a]) : 0.0; }

  private:
    static size_t index(uint32_t a, uint32_t b) { return a > b ? size_t(a) * (a - 1) / 2 + b : size_t(b) * (b - 1) / 2 + a; }

    std::vector<float> uses;   // [experts], tokens
    std::vector<float> pairs;  // [a][b < a]
};

}  // namespace moebius
