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

// The slowest set of devices, the largest of several: only[S] / speed_of[S] is highest. Only sets within `rest`.
device_set slowest_set(const std::vector<int64_t> & only, const std::vector<double> & speed_of, device_set rest) {
    constexpr double equal = 1 - 1e-12;
    device_set       best  = 0;
    double           time  = 0;
    for (device_set set = 1; set < only.size(); set++) {
        const double own = double(only[set]) / speed_of[set];
        if ((set & ~rest) == 0 && (own > time || (own >= time * equal && (best & ~set) == 0))) {
            best = set;
            time = std::max(own, time);
        }
    }
    return best;
}

// Whole tokens for each device of `devices`, within the least time that is enough for what only they can compute; 0 for others.
std::vector<int64_t> quotas_for(const std::vector<int64_t> & only, const std::vector<double> & speeds, const std::vector<double> & speed_of,
                                device_set devices) {
    constexpr double     rounding = 1e-9;  // so that an exact quotient is not rounded down
    double               time     = double(only[devices]) / speed_of[devices];
    std::vector<int64_t> quotas(speeds.size(), 0);
    for (;;) {
        for (size_t d = 0; d < speeds.size(); d++) {
            quotas[d] = devices >> d & 1 ? int64_t(std::floor(time * speeds[d] * (1 + rounding) + rounding)) : 0;
        }
        const std::vector<int64_t> of_sets = capacity_of_sets(quotas);
        device_set                 missing = 0;
        for (size_t set = 1; set < only.size(); set++) {
            missing |= (set & ~devices) == 0 && only[set] > of_sets[set] ? device_set(set) : 0;
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

// Tokens of the experts with exactly `copies`, for each device of them. slack[S]: what the devices of S could take besides the tokens
// that nobody else can compute; it stays at 0 or above, so that there is always a way for the rest.
std::vector<int64_t> share_out(int64_t tokens, device_set copies, size_t devices, std::vector<int64_t> & slack) {
    std::vector<int64_t> shares(devices, 0);
    for (size_t d = 0; d < devices && tokens > 0; d++) {
        if (!(copies >> d & 1)) {
            continue;
        }
        const auto suffers = [&](size_t set) { return (set >> d & 1) && (set & copies) != copies; };
        int64_t    most    = tokens;
        for (size_t set = 1; set < slack.size(); set++) {
            most = suffers(set) ? std::min(most, slack[set]) : most;
        }
        for (size_t set = 1; set < slack.size() && most > 0; set++) {
            slack[set] -= suffers(set) ? most : 0;
        }
        shares[d] = most;
        tokens -= most;
    }
    return shares;
}

}  // namespace

uint32_t copies_of(device_set devices) {
    uint32_t count = 0;
    for (; devices != 0; devices &= devices - 1) {
        count++;
    }
    return count;
}

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
    const size_t              devices  = speeds.size();
    const std::vector<double> speed_of = capacity_of_sets(speeds);
    std::vector<int64_t>      groups(size_t(1) << devices, 0);  // tokens of experts with exactly these copies that are to be shared out
    for (size_t i = 0; i < tokens.size(); i++) {
        groups[placement[i]] += tokens[i];
    }
    std::vector<std::vector<int64_t>> shares(groups.size());     // [copies][device]
    std::vector<device_set>           copies_left(groups.size());  // index into `shares`: the copies that were left when it was this group's turn
    device_set                        rest = device_set(groups.size() - 1);
    while (rest != 0) {
        std::vector<int64_t> left(groups.size(), 0);
        for (size_t set = 1; set < groups.size(); set++) {
            left[set & rest] += groups[set];
        }
        std::vector<int64_t> only = left;
        sum_over_subsets(only, devices);
        const device_set slowest = slowest_set(only, speed_of, rest);
        if (slowest == 0 || only[slowest] == 0) {
            break;
        }
        std::vector<int64_t> slack = capacity_of_sets(quotas_for(only, speeds, speed_of, slowest));
        for (size_t set = 0; set < slack.size(); set++) {
            slack[set] = set & ~slowest ? std::numeric_limits<int64_t>::max() / 2 : slack[set] - only[set];
        }
        for (device_set set = 1; set < groups.size(); set++) {
            if (left[set] > 0 && (set & ~slowest) == 0) {
                shares[set] = share_out(left[set], set, devices, slack);
            }
        }
        for (device_set set = 1; set < groups.size(); set++) {
            if (groups[set] > 0 && (set & rest & ~slowest) == 0) {
                copies_left[set] = set & rest;
                groups[set]    = 0;
            }
        }
        rest &= ~slowest;
    }
    std::vector<token_share> result;
    for (uint32_t i = 0; i < tokens.size(); i++) {
        std::vector<int64_t> & own  = shares[copies_left[placement[i]]];
        int64_t                left = tokens[i];
        for (uint32_t d = 0; d < devices && left > 0; d++) {
            const int64_t part = std::min(own[d], left);
            if (part > 0) {
                result.push_back({ i, d, uint32_t(part) });
                own[d] -= part;
                left -= part;
            }
        }
    }
    return result;
}

}  // namespace moebius
