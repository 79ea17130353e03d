// Which experts that would have to be read from disk a batch does without, or takes in fewer bits: after HOBBIT (Tang et al., arXiv 2411.01433; a low-precision copy instead
// of an expert that matters little to its token) and AdapMoE (Zhong et al., arXiv 2408.10284; secondary experts of insensitive layers are dropped). Pure.
#pragma once

#include <cstdint>
#include <vector>

namespace moebius {

// How an assignment, i.e. an expert of a token, is computed.
enum class expert_precision : uint8_t { full, low, skipped };

// Of a layer: from which unimportance on, see expert_unimportance. 1: never.
struct miss_thresholds {
    double low  = 1.0;
    double skip = 1.0;  // goes before `low`
};

// [tokens][used]: the sum of the gate weights that rank above an expert, as a share of the sum of its token's weights: 0 for the first, less than 1 for the others
// unless they weigh nothing. HOBBIT's measure. Of equal weights the earlier ranks above. ids of -1 count as nothing and get 0.
std::vector<double> expert_unimportance(const std::vector<int32_t> & ids, const std::vector<float> & weights, int64_t used);

// Of each assignment. at_hand: [experts] that need not be read. What has to be read for one token is not traded for another: an expert that a token of the batch
// needs in full is full for all of them, and one that a token takes in few bits is skipped for none.
std::vector<expert_precision> substitute_misses(const std::vector<int32_t> & ids, const std::vector<float> & weights, int64_t used, const std::vector<bool> & at_hand,
                                                const miss_thresholds & thresholds);

// Takes the assignments that are skipped out (id -1, weight 0) and scales the other weights of their tokens so that the sums stay as they were.
void skip_experts(std::vector<int32_t> & ids, std::vector<float> & weights, int64_t used, const std::vector<expert_precision> & how);

}  // namespace moebius
