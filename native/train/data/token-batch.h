// What one forward and backward pass is about: sequences packed one behind the other, and what is to be learnt of them.
#pragma once

#include <cstdint>
#include <vector>

namespace moebius {

struct token_batch {
    std::vector<int32_t> tokens;
    std::vector<int32_t> positions;  // [tokens], each in its sequence
    std::vector<int64_t> lengths;    // of the sequences; their sum is the number of tokens

    // Supervised: positions whose next token is learnt, ascending.
    std::vector<int32_t> rows;     // which of the tokens
    std::vector<int32_t> labels;   // [rows], the tokens that come next
    std::vector<float>   weights;  // [rows] of their losses in the sum
};

}  // namespace moebius
