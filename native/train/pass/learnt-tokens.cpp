#include "learnt-tokens.h"

#include <algorithm>

namespace moebius {

std::vector<bool> learnt_tokens(const token_batch & batch, bool is_last_layer) {
    std::vector<bool> learnt(batch.tokens.size(), false);
    size_t            row = 0;
    int64_t           end = 0;
    for (const int64_t length : batch.lengths) {
        const int64_t begin = end;
        for (end += length; row < batch.rows.size() && batch.rows[row] < end; row++) {
            const auto last = learnt.begin() + batch.rows[row] + 1;
            std::fill(is_last_layer ? last - 1 : learnt.begin() + begin, last, true);
        }
    }
    return learnt;
}

std::vector<int64_t> count_by_expert(const std::vector<int32_t> & ids, int64_t experts, const std::vector<bool> & tokens) {
    std::vector<int64_t> counts(size_t(experts), 0);
    const size_t         per_token = tokens.empty() ? 0 : ids.size() / tokens.size();
    for (size_t i = 0; i < ids.size(); i++) {
        if (ids[i] >= 0 && tokens[i / per_token]) {
            counts[size_t(ids[i])]++;
        }
    }
    return counts;
}

}  // namespace moebius
