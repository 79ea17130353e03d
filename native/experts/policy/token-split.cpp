#include "token-split.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace moebius {

namespace {

// own[S] becomes the sum of own[M] over all subsets M of S.
template <typename T> void sum_over_subsets(std::vector<T> & own, size_t devices) {
    for (size_t d = 0; d < devices; d++) {
        for (size_t set = 0; set < own.size(); set++) {
            if (set >> d & 1) {
                own[set] += own[set ^ size_t(1) << d];
            }
        }
    }
}

template <typename T> std::vector<T> capacity_of_sets(const std::vector<T> & each) {
    std::vector<T> sets(size_t(1) << each.size(), T(0));
    for (size_t set = 1; set < sets.size(); set++) {
        size_t lowest = 0;
        while (!(set >> lowest & 1)) {
            lowest++;
        }
        sets[set] = sets[set & (set - 1)] + each[lowest];
    }
    return sets;
}

// Whole tokens for each device within the least time that is enough.
std::vector<int64_t> quotas_for(const std::vector<int64_t> & only, const std::vector<double> & speeds) {
    const std::vector<double> speed_of = capacity_of_sets(speeds);
    double                    time     = 0;
    for (size_t set = 1; set < only.size(); set++) {
        time = std::max(time, double(only[set]) / speed_of[set]);
    }
    constexpr double     rounding = 1e-9;  // of time * speed, so that an exact quotient is not rounded down
    std::vector<int64_t> quotas(speeds.size());
    for (;;) {
        for (size_t d = 0; d < speeds.size(); d++) {
            quotas[d] = int64_t(std::floor(time * speeds[d] * (1 + rounding) + rounding));
        }
        const std::vector<int64_t> of_sets = capacity_of_sets(quotas);
        device_set                 missing = 0;
        for (size_t set = 1; set < only.size(); set++) {
            missing |= only[set] > of_sets[set] ? device_set(set) : 0;
        }
        if (missing == 0) {
            return quotas;
        }
        double next = std::numeric_limits<double>::max();  // when the first of them can take one more
        for (size_t d = 0; d < speeds.size(); d++) {
            if (missing >> d & 1) {
                next = std::min(next, double(quotas[d] + 1) / speeds[d]);
            }
        }
        time = next;
    }
}

}  // namespace

double split_makespan(const std::vector<double> & loads, const layer_placement & placement, const std::vector<double> & speeds, device_set * tight) {
    std::vector<double> only(size_t(1) << speeds.size(), 0.0);
    for (size_t i = 0; i < loads.size(); i++) {
        only[placement[i]] += loads[i];
    }
    sum_over_subsets(only, speeds.size());
    const std::vector<double> speed_of = capacity_of_sets(speeds);
    double                    longest  = 0;
    for (size_t set = 1; set < only.size(); set++) {
        if (only[set] / speed_of[set] > longest) {
            longest = only[set] / speed_of[set];
            if (tight) {
                *tight = device_set(set);
            }
        }
    }
    return longest;
}

std::vector<token_share> split_tokens(const std::vector<uint32_t> & tokens, const layer_placement & placement, const std::vector<double> & speeds) {
    const size_t         devices = speeds.size();
    std::vector<int64_t> group(size_t(1) << devices, 0);  // tokens of experts with exactly these copies
    for (size_t i = 0; i < tokens.size(); i++) {
        group[placement[i]] += tokens[i];
    }
    std::vector<int64_t> only = group;
    sum_over_subsets(only, devices);
    // slack[S]: what its devices could take besides the tokens that nobody else can compute. It never falls below 0.
    std::vector<int64_t> slack = capacity_of_sets(quotas_for(only, speeds));
    for (size_t set = 0; set < slack.size(); set++) {
        slack[set] -= only[set];
    }
    std::vector<std::vector<int64_t>> shares(group.size());  // [copies][device]
    for (size_t copies = 1; copies < group.size(); copies++) {
        if (group[copies] == 0) {
            continue;
        }
        shares[copies].assign(devices, 0);
        int64_t left = group[copies];
        for (size_t d = 0; d < devices && left > 0; d++) {
            if (!(copies >> d & 1)) {
                continue;
            }
            const auto suffers = [&](size_t set) { return (set >> d & 1) && (set & copies) != copies; };
            int64_t    most    = left;
            for (size_t set = 1; set < slack.size(); set++) {
                most = suffers(set) ? std::min(most, slack[set]) : most;
            }
            for (size_t set = 1; set < slack.size() && most > 0; set++) {
                slack[set] -= suffers(set) ? most : 0;
            }
            shares[copies][d] = most;
            left -= most;
        }
    }
    std::vector<token_share> result;
    for (uint32_t i = 0; i < tokens.size(); i++) {
        uint32_t left = tokens[i];
        for (uint32_t d = 0; d < devices && left > 0; d++) {
            int64_t &      share = shares[placement[i]][d];
            const uint32_t part  = uint32_t(std::min<int64_t>(share, left));
            if (part > 0) {
                result.push_back({ i, d, part });
                share -= part;
                left -= part;
            }
        }
    }
    return result;
}

}  // namespace moebius
