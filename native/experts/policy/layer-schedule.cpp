#include "layer-schedule.h"

#include <algorithm>

namespace moebius {

namespace {

struct scheduled_load {
    double experts = 0;
    double tokens  = 0;

    scheduled_load plus(const token_share & share) const { return { experts + 1, tokens + share.tokens }; }
    scheduled_load minus(const token_share & share) const { return { experts - 1, tokens - share.tokens }; }
};

// On each device: tokens of the experts that have a copy.
std::vector<token_share> split_over_devices(const std::vector<uint32_t> & tokens, const layer_placement & placement, const std::vector<batch_cost> & costs) {
    std::vector<uint32_t> experts, loads;  // those that have one
    layer_placement       copies;
    double                all = 0;
    for (uint32_t e = 0; e < tokens.size(); e++) {
        if (tokens[e] > 0 && placement[e] != 0) {
            experts.push_back(e);
            loads.push_back(tokens[e]);
            copies.push_back(placement[e]);
            all += tokens[e];
        }
    }
    if (experts.empty()) {
        return {};
    }
    std::vector<double> speeds;
    for (const batch_cost & cost : costs) {
        speeds.push_back(1 / (cost.per_token + cost.per_expert * double(experts.size()) / all));
    }
    std::vector<token_share> shares = split_tokens(loads, copies, speeds);
    for (token_share & share : shares) {
        share.expert = experts[share.expert];
    }
    return shares;
}

}  // namespace

std::vector<token_share> schedule_layer(const std::vector<uint32_t> & tokens, const layer_placement & placement, const std::vector<batch_cost> & costs, const batch_cost & cpu,
                                        const std::vector<bool> & cpu_has) {
    const uint32_t              on_cpu = uint32_t(costs.size());
    std::vector<token_share>    shares = split_over_devices(tokens, placement, costs);
    std::vector<scheduled_load> loads(costs.size() + 1);
    for (const token_share & share : shares) {
        loads[share.device] = loads[share.device].plus(share);
    }
    std::vector<uint32_t> of_cpu(tokens.size(), 0);
    for (uint32_t e = 0; e < tokens.size(); e++) {
        if (tokens[e] > 0 && placement[e] == 0) {
            of_cpu[e]     = tokens[e];
            loads[on_cpu] = loads[on_cpu].plus({ e, on_cpu, tokens[e] });
        }
    }
    const auto ends = [&](uint32_t d) { return costs[d].of(loads[d].experts, loads[d].tokens); };
    std::stable_sort(shares.begin(), shares.end(), [](const token_share & a, const token_share & b) { return a.tokens < b.tokens; });
    while (!shares.empty()) {
        uint32_t last = 0;
        for (uint32_t d = 1; d < on_cpu; d++) {
            last = ends(d) > ends(last) ? d : last;
        }
        const auto           taken = std::find_if(shares.begin(), shares.end(), [&](const token_share & share) { return share.device == last && cpu_has[share.expert]; });
        const scheduled_load with  = taken == shares.end() ? scheduled_load() : loads[on_cpu].plus(*taken);
        if (taken == shares.end() || cpu.of(with.experts, with.tokens) >= ends(last)) {
            break;
        }
        loads[on_cpu] = with;
        loads[last]   = loads[last].minus(*taken);
        of_cpu[taken->expert] += taken->tokens;
        shares.erase(taken);
    }
    for (uint32_t e = 0; e < tokens.size(); e++) {
        if (of_cpu[e] > 0) {
            shares.push_back({ e, on_cpu, of_cpu[e] });
        }
    }
    return shares;
}

}  // namespace moebius
