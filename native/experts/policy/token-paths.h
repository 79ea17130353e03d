// Which experts the tokens of the vocabulary went to, layer by layer, learned while they are generated. Pure.
#pragma once

#include "cache-policy.h"

#include <unordered_map>

namespace moebius {

// A token that was seen before will mostly go where it went; one that was not, where the layer's tokens go on average. Memory: at most
// `most_bytes`, tokens that came first are forgotten first.
class token_paths {
  public:
    token_paths(uint32_t layers, uint32_t experts, uint32_t used, uint64_t most_bytes = 16u << 20);

    // chosen: [tokens][used] of one layer; negative: unknown.
    void learn(uint32_t layer, const std::vector<int32_t> & tokens, const std::vector<int32_t> & chosen);

    // What a batch of these tokens will use in the layer, most probable first. Of a long batch some tokens speak for all.
    std::vector<foreseen_use> foresee(uint32_t layer, const std::vector<int32_t> & tokens) const;

    // into: [experts], the probability that one token uses each.
    void chances(uint32_t layer, int32_t token, float * into) const;

    bool   knows(int32_t token) const { return places.count(token) > 0; }
    size_t size() const { return places.size(); }

  private:
    struct count {
        uint16_t expert = 0;
        uint16_t times  = 0;
    };

    uint32_t place_of(int32_t token);
    void     add(uint32_t place, uint32_t layer, uint16_t expert);
    count *  counts_of(uint32_t place, uint32_t layer) { return &counts[(size_t(place) * layers + layer) * each]; }

    uint32_t                              layers, experts, each;  // counts of a token in a layer
    uint32_t                              most, next = 0;         // tokens; the place that is given away next
    std::unordered_map<int32_t, uint32_t> places;
    std::vector<int32_t>                  tokens;  // [place]
    std::vector<count>                    counts;  // [place][layer][each]
    std::vector<uint16_t>                 seen;    // [place][layer] tokens
    std::vector<double>                   shares;  // [layer][expert] of late tokens, those that went there
};

}  // namespace moebius
