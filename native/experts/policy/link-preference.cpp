#include "link-preference.h"

#include <algorithm>
#include <numeric>

namespace moebius {

namespace {

class link_preference {
  public:
    link_preference(const std::vector<token_share> & shares, const layer_placement & placement, const std::vector<batch_cost> & costs, const std::vector<double> & links, double limit)
        : placement(placement), costs(costs), links(links), limit(limit), tokens(placement.size() * costs.size(), 0), loads(costs.size()) {
        for (const token_share & share : shares) {
            if (share.device < costs.size()) {
                add(share.expert, share.device, share.tokens);
            } else {
                others.push_back(share);
            }
        }
    }

    std::vector<token_share> run() {
        std::vector<uint32_t> order(costs.size());
        std::iota(order.begin(), order.end(), 0u);
        std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return links[a] > links[b]; });
        for (const uint32_t device : order) {
            for (uint32_t expert = 0; expert < placement.size(); expert++) {
                move_away(expert, device);
            }
        }
        for (uint32_t i = 0; i < tokens.size(); i++) {
            if (tokens[i] > 0) {
                others.push_back({ uint32_t(i / costs.size()), uint32_t(i % costs.size()), tokens[i] });
            }
        }
        return std::move(others);
    }

  private:
    struct load {
        double experts = 0, tokens = 0;
    };

    uint32_t & at(uint32_t expert, uint32_t device) { return tokens[expert * costs.size() + device]; }

    void add(uint32_t expert, uint32_t device, uint32_t count) {
        loads[device].experts += at(expert, device) == 0 ? 1 : 0;
        loads[device].tokens += count;
        at(expert, device) += count;
    }

    // More tokens of the expert that the device can compute by the limit.
    uint32_t room(uint32_t expert, uint32_t device) {
        constexpr double rounding = 1e-9;
        const double     before   = costs[device].of(loads[device].experts + (at(expert, device) == 0 ? 1 : 0), loads[device].tokens);
        const double     more     = (limit * (1 + rounding) - before) / costs[device].per_token;
        return more < 1 ? 0 : uint32_t(std::min(more, 4e9));
    }

    void move_away(uint32_t expert, uint32_t device) {
        device_set cheaper = 0;
        for (uint32_t d = 0; d < costs.size(); d++) {
            cheaper |= has(placement[expert], d) && 2 * links[d] < links[device] ? 1u << d : 0;
        }
        while (cheaper != 0 && at(expert, device) > 0) {
            uint32_t best = 0;  // has the most room
            for (uint32_t d = 1; d < costs.size(); d++) {
                best = has(cheaper, d) && (!has(cheaper, best) || room(expert, d) > room(expert, best)) ? d : best;
            }
            const uint32_t count = std::min(room(expert, best), at(expert, device));
            cheaper &= ~(1u << best);
            if (count > 0) {
                add(expert, best, count);
                at(expert, device) -= count;
                loads[device].tokens -= count;
                loads[device].experts -= at(expert, device) == 0 ? 1 : 0;
            }
        }
    }

    const layer_placement &         placement;
    const std::vector<batch_cost> & costs;
    const std::vector<double> &     links;
    double                          limit;
    std::vector<uint32_t>           tokens;  // [experts][devices]
    std::vector<load>               loads;   // [devices]
    std::vector<token_share>        others;
};

}  // namespace

std::vector<token_share> prefer_links(std::vector<token_share> shares, const layer_placement & placement, const std::vector<batch_cost> & costs, const std::vector<double> & links, double limit) {
    if (links.empty() || *std::max_element(links.begin(), links.end()) <= 2 * *std::min_element(links.begin(), links.end())) {
        return shares;
    }
    return link_preference(shares, placement, costs, links, limit).run();
}

}  // namespace moebius
