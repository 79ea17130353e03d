#include "token-assignment.h"

#include <algorithm>

namespace moebius {

namespace {

class token_assigner {
  public:
    token_assigner(const token_routes & routes, const std::vector<token_share> & shares, const std::vector<double> & costs)
        : routes(routes), links(costs), devices(assign_in_order(routes, shares)) {
        uint32_t experts = 0;
        for (const token_share & share : shares) {
            experts = std::max(experts, share.expert + 1);
            lanes   = std::max(lanes, share.device + 1);
        }
        if (links.empty()) {
            links.assign(lanes, 1.0);
        }
        for (uint32_t d = 0; d < lanes; d++) {
            free |= links[d] == 0 ? device_set(1) << d : 0;
        }
        uses.assign(size_t(routes.tokens()) * lanes, 0);
        std::vector<uint32_t> copies(experts, 0);
        for (const token_share & share : shares) {
            copies[share.expert]++;
        }
        std::vector<std::vector<uint32_t>> of(experts);
        for (uint32_t i = 0; i < devices.size(); i++) {
            if (routes.experts[i] >= 0) {
                use(i, devices[i])++;
                if (copies[size_t(routes.experts[i])] > 1) {
                    of[size_t(routes.experts[i])].push_back(i);
                }
            }
        }
        for (std::vector<uint32_t> & assignments : of) {
            if (!assignments.empty()) {
                split.push_back(std::move(assignments));
            }
        }
    }

    std::vector<uint32_t> run() {
        constexpr int rounds = 2;
        for (int round = 0; round < rounds; round++) {
            for (const std::vector<uint32_t> & assignments : split) {
                settle(assignments);
            }
        }
        return std::move(devices);
    }

  private:
    uint8_t & use(uint32_t assignment, uint32_t device) { return uses[size_t(assignment / routes.used) * lanes + device]; }

    // Devices that the token goes to without this assignment.
    device_set others(uint32_t assignment) {
        device_set set = free;
        for (uint32_t d = 0; d < lanes; d++) {
            set |= use(assignment, d) > 0 ? device_set(1) << d : 0;
        }
        return set;
    }

    double cost(const std::vector<device_set> & there, const std::vector<uint32_t> & to) const {
        double sum = 0;
        for (size_t i = 0; i < to.size(); i++) {
            sum += there[i] >> to[i] & 1 ? 0 : links[to[i]];
        }
        return sum;
    }

    // Deals out one expert's tokens anew: first those that one device is free for, then those that several are, then the rest.
    void settle(const std::vector<uint32_t> & assignments) {
        std::vector<uint32_t>   left(lanes, 0);
        device_set              copies = 0;
        std::vector<uint32_t>   before, order(assignments.size()), to(assignments.size());
        std::vector<device_set> there;
        for (const uint32_t i : assignments) {
            before.push_back(devices[i]);
            left[devices[i]]++;
            copies |= device_set(1) << devices[i];
            use(i, devices[i])--;
            there.push_back(others(i));
        }
        for (uint32_t i = 0; i < order.size(); i++) {
            order[i] = i;
        }
        const auto choices = [&](uint32_t i) {
            const uint32_t count = copies_of(there[i] & copies);
            return count == 0 ? UINT32_MAX : count;
        };
        std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return choices(a) < choices(b); });
        std::vector<uint32_t> rest;
        for (const uint32_t i : order) {
            uint32_t   best  = lanes;
            const auto saves = [&](uint32_t d) { return left[d] * links[d]; };
            for (uint32_t d = 0; d < lanes; d++) {
                if ((there[i] & copies) >> d & 1 && left[d] > 0 && (best == lanes || saves(d) > saves(best))) {
                    best = d;
                }
            }
            if (best == lanes) {
                rest.push_back(i);
                continue;
            }
            to[i] = best;
            left[best]--;
        }
        for (const uint32_t i : rest) {
            to[i] = uint32_t(std::find_if(left.begin(), left.end(), [](uint32_t count) { return count > 0; }) - left.begin());
            left[to[i]]--;
        }
        if (cost(there, to) > cost(there, before)) {
            to = std::move(before);
        }
        for (size_t i = 0; i < assignments.size(); i++) {
            devices[assignments[i]] = to[i];
            use(assignments[i], to[i])++;
        }
    }

    const token_routes &               routes;
    std::vector<double>                links;  // [lanes]
    device_set                         free = 0;
    std::vector<uint32_t>              devices;
    uint32_t                           lanes = 0;  // devices
    std::vector<uint8_t>               uses;   // [tokens][lanes], assignments
    std::vector<std::vector<uint32_t>> split;  // of each expert with several shares, its assignments
};

}  // namespace

std::vector<uint32_t> assign_in_order(const token_routes & routes, const std::vector<token_share> & shares) {
    std::vector<std::vector<token_share>> of;
    for (const token_share & share : shares) {
        of.resize(std::max<size_t>(of.size(), share.expert + 1));
        of[share.expert].push_back(share);
    }
    std::vector<uint32_t> devices(routes.experts.size(), 0);
    for (size_t i = 0; i < devices.size(); i++) {
        if (routes.experts[i] >= 0) {
            std::vector<token_share> & left = of[size_t(routes.experts[i])];
            devices[i]                      = left.back().device;
            if (--left.back().tokens == 0) {
                left.pop_back();
            }
        }
    }
    return devices;
}

std::vector<uint32_t> assign_tokens(const token_routes & routes, const std::vector<token_share> & shares, const std::vector<double> & links) {
    return token_assigner(routes, shares, links).run();
}

std::vector<device_set> devices_of_tokens(const token_routes & routes, const std::vector<uint32_t> & devices) {
    std::vector<device_set> sets(routes.tokens(), 0);
    for (size_t i = 0; i < devices.size(); i++) {
        if (routes.experts[i] >= 0) {
            sets[i / routes.used] |= device_set(1) << devices[i];
        }
    }
    return sets;
}

}  // namespace moebius
