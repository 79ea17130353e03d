#include "expert-groups.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace moebius {

expert_groups::expert_groups(const std::vector<int32_t> & ids, int64_t per_token, int64_t experts)
    : tokens(int64_t(ids.size()) / per_token),
      experts(experts),
      per_token(per_token),
      of_token(ids.size(), 0),
      has(ids.size(), 0.0f),
      of_number(size_t(tokens * experts), 0),
      chosen(size_t(tokens * experts), 0.0f) {
    std::vector<std::vector<int32_t>> tokens_of(static_cast<size_t>(experts));
    for (size_t i = 0; i < ids.size(); i++) {
        if (ids[i] >= 0) {
            tokens_of.at(size_t(ids[i])).push_back(int32_t(int64_t(i) / per_token));
        }
    }
    std::vector<int64_t> seen(size_t(tokens), 0);  // assignments of a token so far
    for (int32_t expert = 0; expert < experts; expert++) {
        const std::vector<int32_t> & mine = tokens_of[size_t(expert)];
        if (!mine.empty()) {
            groups.push_back({ expert, int64_t(token.size()), int64_t(mine.size()) });
        }
        for (const int32_t t : mine) {
            const int32_t assignment = int32_t(token.size());
            const size_t  number     = size_t(t * experts + expert);
            const size_t  place      = size_t(seen[size_t(t)]++ * tokens + t);
            GGML_ASSERT(chosen[number] == 0);  // each at most once
            token.push_back(t);
            at.push_back(int32_t(number));
            of_token[place]   = assignment;
            has[place]        = 1;
            of_number[number] = assignment;
            chosen[number]    = 1;
        }
    }
}

std::vector<int64_t> expert_groups::counts() const {
    std::vector<int64_t> made(size_t(experts), 0);
    for (const group & each : groups) {
        made[size_t(each.expert)] = each.count;
    }
    return made;
}

std::vector<double> expert_groups::sums_by_expert(const float_rows & of) const {
    std::vector<double> sums(size_t(experts), 0.0);
    for (const group & each : groups) {
        sums[size_t(each.expert)] = std::accumulate(of.begin() + each.begin, of.begin() + each.begin + each.count, 0.0);
    }
    return sums;
}

std::vector<float> within_best_groups(std::vector<float> scores, int64_t experts, int64_t groups, int64_t groups_used) {
    const int64_t      each = experts / groups;
    std::vector<float> best;  // [tokens][groups]
    for (auto group = scores.begin(); group != scores.end(); group += each) {
        float first = -INFINITY, second = -INFINITY;
        for (int64_t i = 0; i < each; i++) {
            second = std::max(second, std::min(first, group[i]));
            first  = std::max(first, group[i]);
        }
        best.push_back(first + second);
    }
    std::vector<bool> is_kept(best.size(), false);
    const auto        kept = top_experts(best, groups, groups_used);
    for (size_t i = 0; i < kept.size(); i++) {
        is_kept[i / size_t(groups_used) * size_t(groups) + size_t(kept[i])] = true;
    }
    for (size_t i = 0; i < scores.size(); i++) {
        scores[i] = is_kept[i / size_t(each)] ? scores[i] : -INFINITY;
    }
    return scores;
}

std::vector<int32_t> top_experts(const std::vector<float> & scores, int64_t experts, int64_t k) {
    std::vector<int32_t> ids, order(static_cast<size_t>(experts));
    for (auto row = scores.begin(); row != scores.end(); row += experts) {
        std::iota(order.begin(), order.end(), 0);
        std::partial_sort(order.begin(), order.begin() + k, order.end(), [&](int32_t a, int32_t b) { return row[a] != row[b] ? row[a] > row[b] : a < b; });
        ids.insert(ids.end(), order.begin(), order.begin() + k);
    }
    return ids;
}

}  // namespace moebius
