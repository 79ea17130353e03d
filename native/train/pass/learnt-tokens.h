// Which tokens the loss of a batch depends on: others may come to an expert, which learns nothing of them.
#pragma once

#include "train/data/token-batch.h"

namespace moebius {

// [tokens] whether the loss depends on what a layer makes of them: on those that predict something, and below the last layer, where attention follows, also on those before them in their sequence.
std::vector<bool> learnt_tokens(const token_batch & batch, bool is_last_layer);

// ids: [tokens][per token], experts; -1: none. -> [experts] assignments, of these tokens only
std::vector<int64_t> count_by_expert(const std::vector<int32_t> & ids, int64_t experts, const std::vector<bool> & tokens);

}  // namespace moebius
