#include "layer-schedule.h"

#include "link-preference.h"

#include <algorithm>
#include <cmath>
#include <utility>

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

// The CPU takes over from the device that ends last.
void take_over(const layer_work & work, std::vector<token_share> & shares, std::vector<scheduled_load> & loads, std::vector<uint32_t> & of_cpu) {
    const uint32_t on_cpu = uint32_t(work.devices.size());
    const auto     ends   = [&](uint32_t d) { return work.devices[d].of(loads[d].experts, loads[d].tokens); };
    std::stable_sort(shares.begin(), shares.end(), [](const token_share & a, const token_share & b) { return a.tokens < b.tokens; });
    while (!shares.empty()) {
        uint32_t last = 0;
        for (uint32_t d = 1; d < on_cpu; d++) {
            last = ends(d) > ends(last) ? d : last;
        }
        const auto           taken = std::find_if(shares.begin(), shares.end(), [&](const token_share & share) { return share.device == last && work.in_ram[share.expert]; });
        const scheduled_load with  = taken == shares.end() ? scheduled_load() : loads[on_cpu].plus(*taken);
        if (taken == shares.end() || work.cpu.of(with.experts, with.tokens) >= ends(last)) {
            return;
        }
        loads[on_cpu] = with;
        loads[last]   = loads[last].minus(*taken);
        of_cpu[taken->expert] += taken->tokens;
        shares.erase(taken);
    }
}

// Devices fetch what the CPU would compute.
void fetch(const layer_work & work, std::vector<token_share> & shares, std::vector<scheduled_load> & loads, std::vector<uint32_t> & of_cpu) {
    const uint32_t              on_cpu = uint32_t(work.devices.size());
    std::vector<scheduled_load> fetched(work.fetching.size());
    std::vector<uint32_t>       order;  // the CPU's experts that can be fetched, those with the most tokens first
    for (uint32_t e = 0; e < of_cpu.size(); e++) {
        if (of_cpu[e] > 0 && work.in_ram[e] && work.placement[e] == 0) {
            order.push_back(e);
        }
    }
    std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return of_cpu[a] > of_cpu[b]; });
    for (const uint32_t e : order) {
        const token_share share{ e, on_cpu, of_cpu[e] };
        double            soonest = work.cpu.of(loads[on_cpu].experts, loads[on_cpu].tokens);
        uint32_t          best    = on_cpu;
        for (uint32_t d = 0; d < fetched.size(); d++) {
            const scheduled_load with = fetched[d].plus(share);
            const double         end  = work.fetching[d] ? work.fetching[d]->of(with.experts, with.tokens) : soonest;
            if (end < soonest) {
                soonest = end;
                best    = d;
            }
        }
        if (best == on_cpu) {
            continue;  // one with fewer tokens may pay
        }
        fetched[best] = fetched[best].plus(share);
        loads[on_cpu] = loads[on_cpu].minus(share);
        of_cpu[e]     = 0;
        shares.push_back({ e, on_cpu + 1 + best, share.tokens });
    }
}

// Moves whole shares away from who ends last, for as long as that lets the layer end earlier: what the greedy steps before it do not see are
// what a lane costs at all, and shares that are too small to be worth an expert's cost.
class improvement {
  public:
    improvement(const layer_work & of, const std::vector<token_share> & shares) : work(of), devices(uint32_t(of.devices.size())), lanes(2 * of.devices.size() + 1), loads(lanes) {
        tokens.assign(work.tokens.size() * lanes, 0);
        for (const token_share & share : shares) {
            at(share.expert, share.device) += share.tokens;
            loads[share.device] = loads[share.device].plus(share);
        }
    }

    // false: nothing helps
    bool step() {
        uint32_t last = 0;
        for (uint32_t lane = 1; lane < lanes; lane++) {
            last = end_of(lane, loads[lane]) > end_of(last, loads[last]) ? lane : last;
        }
        double   soonest = end_of(last, loads[last]) * (1 - 1e-6);
        uint32_t moved = 0, to = last;
        for (uint32_t e = 0; e < work.tokens.size(); e++) {
            const uint32_t count = at(e, last);
            const double   left  = count > 0 ? end_of(last, loads[last].minus({ e, last, count })) : INFINITY;
            for (uint32_t lane = 0; lane < lanes && left < soonest; lane++) {
                const double end = lane != last && may(e, lane) ? std::max(left, end_of(lane, with(e, lane, count))) : INFINITY;
                if (end < soonest) {
                    soonest = end;
                    moved   = e;
                    to      = lane;
                }
            }
        }
        if (to == last) {
            return false;
        }
        const uint32_t count = std::exchange(at(moved, last), 0);
        loads[last]          = loads[last].minus({ moved, last, count });
        loads[to]            = with(moved, to, count);
        at(moved, to) += count;
        return true;
    }

    double end() const {
        double last = 0;
        for (uint32_t lane = 0; lane < lanes; lane++) {
            last = std::max(last, end_of(lane, loads[lane]));
        }
        return last;
    }

    std::vector<token_share> shares() const {
        std::vector<token_share> all;
        for (uint32_t i = 0; i < tokens.size(); i++) {
            if (tokens[i] > 0) {
                all.push_back({ i / lanes, i % lanes, tokens[i] });
            }
        }
        return all;
    }

  private:
    uint32_t & at(uint32_t expert, uint32_t lane) { return tokens[expert * lanes + lane]; }

    scheduled_load with(uint32_t expert, uint32_t lane, uint32_t count) {
        return { loads[lane].experts + (at(expert, lane) > 0 ? 0 : 1), loads[lane].tokens + count };
    }
    bool may(uint32_t expert, uint32_t lane) const {
        if (lane < devices) {
            return (work.placement[expert] & (1u << lane)) != 0;
        }
        if (lane == devices) {
            return work.placement[expert] == 0 || (work.cpu_helps && work.in_ram[expert]);
        }
        const uint32_t device = lane - devices - 1;
        return device < work.fetching.size() && work.fetching[device] && work.in_ram[expert] && (work.placement[expert] & (1u << device)) == 0;
    }
    double end_of(uint32_t lane, const scheduled_load & load) const {
        if (load.experts == 0) {
            return 0;
        }
        const batch_cost & cost = lane < devices ? work.devices[lane] : lane == devices ? work.cpu : *work.fetching[lane - devices - 1];
        return cost.of(load.experts, load.tokens);
    }

    const layer_work &          work;
    uint32_t                    devices, lanes;  // as token_share counts them
    std::vector<scheduled_load> loads;           // [lanes]
    std::vector<uint32_t>       tokens;          // [experts][lanes]
};

}  // namespace

std::vector<token_share> schedule_layer(const layer_work & work) {
    const std::vector<uint32_t> & tokens = work.tokens;
    const uint32_t                on_cpu = uint32_t(work.devices.size());
    std::vector<token_share>      shares = split_over_devices(tokens, work.placement, work.devices);
    std::vector<scheduled_load>   loads(work.devices.size() + 1);
    for (const token_share & share : shares) {
        loads[share.device] = loads[share.device].plus(share);
    }
    std::vector<uint32_t> of_cpu(tokens.size(), 0);
    for (uint32_t e = 0; e < tokens.size(); e++) {
        if (tokens[e] > 0 && work.placement[e] == 0) {
            of_cpu[e]     = tokens[e];
            loads[on_cpu] = loads[on_cpu].plus({ e, on_cpu, tokens[e] });
        }
    }
    if (work.cpu_helps) {
        take_over(work, shares, loads, of_cpu);
    }
    fetch(work, shares, loads, of_cpu);
    for (uint32_t e = 0; e < tokens.size(); e++) {
        if (of_cpu[e] > 0) {
            shares.push_back({ e, on_cpu, of_cpu[e] });
        }
    }
    constexpr int steps_most = 32;  // it must not take long itself
    improvement   better(work, shares);
    for (int i = 0; i < steps_most && better.step(); i++) {
    }
    return prefer_links(better.shares(), work.placement, work.devices, work.links, better.end());
}

}  // namespace moebius
