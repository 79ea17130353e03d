// The host's side of routing: which experts a batch's tokens chose, as the lists that graphs of experts take.
#pragma once

#include "float-rows.h"

#include <ggml.h>

#include <cstdint>
#include <vector>

namespace moebius {

// Assignments of tokens to experts, sorted by expert and then by token.
struct expert_groups {
    // ids: [tokens][per_token], experts that a token chose, each at most once; -1: nobody (padding, or a smaller k)
    expert_groups(const std::vector<int32_t> & ids, int64_t per_token, int64_t experts);

    struct group {
        int32_t expert = 0;
        int64_t begin = 0, count = 0;  // assignments
    };

    int64_t            tokens = 0, experts = 0, per_token = 0;
    std::vector<group> groups;  // of experts that somebody chose

    // assignments
    std::vector<int32_t> token;  // [assignments]
    std::vector<int32_t> at;     // [assignments] token * experts + expert

    // back
    std::vector<int32_t> of_token;    // [per_token][tokens] assignments, in the order of experts; 0 for what a token lacks
    std::vector<float>   has;         // [per_token][tokens] 1 or, for what a token lacks, 0
    std::vector<int32_t> of_number;   // [tokens][experts] assignment, or 0
    std::vector<float>   chosen;      // [tokens][experts] 1 or 0

    std::vector<int64_t> counts() const;  // [experts] assignments
    // of: [assignments] -> [experts]
    std::vector<double> sums_by_expert(const float_rows & of) const;

    bool even() const { return int64_t(token.size()) == tokens * per_token; }  // every token has as many
};

// Of each row of scores [tokens][experts], which lie in groups of as many experts side by side: those of the groups_used best groups, and -infinity for others.
// A group is as good as the sum of its two best (DeepSeek-V3, arXiv 2412.19437, node-limited routing; llama.cpp's build_moe_ffn).
std::vector<float> within_best_groups(std::vector<float> scores, int64_t experts, int64_t groups, int64_t groups_used);

// The k largest of each row of scores [tokens][experts], the first of equals -> ids as above
std::vector<int32_t> top_experts(const std::vector<float> & scores, int64_t experts, int64_t k);

}  // namespace moebius
