#include "rebalancers.h"

#include "experts/policy/replica-controller.h"
#include "experts/policy/replica-counts.h"
#include "experts/policy/replica-moves.h"
#include "experts/policy/replica-placement.h"
#include "experts/policy/replicate-quantize.h"

#include <algorithm>

namespace moebius {

namespace {

// Those that look at the loads of the last window only.
class windowed : public rebalancer {
  public:
    windowed(uint32_t experts, const layer_rig & rig) : rig(rig), loads(experts, 0.0) {}

    const layer_placement & placement() const override { return current; }

    void observe(const std::vector<uint32_t> & tokens, const token_routes &, const std::vector<double> &) override {
        for (size_t i = 0; i < loads.size(); i++) {
            loads[i] += tokens[i];
        }
    }

    uint32_t end_window() override {
        layer_placement next  = next_placement();
        const uint32_t  moved = copies_to_move(current, next);
        current               = std::move(next);
        loads.assign(loads.size(), 0.0);
        return moved;
    }

  protected:
    virtual layer_placement next_placement() = 0;

    layer_rig           rig;
    layer_placement     current;
    std::vector<double> loads;
};

class static_rebalancer : public windowed {
  public:
    static_rebalancer(uint32_t experts, const layer_rig & rig) : windowed(experts, rig) { current = place_static(experts, rig); }
    layer_placement next_placement() override { return current; }
};

using count_rule = std::vector<uint32_t> (*)(const std::vector<double> &, uint32_t, uint32_t);

class packed_rebalancer : public windowed {
  public:
    packed_rebalancer(uint32_t experts, const layer_rig & rig, count_rule counts, bool balances = false)
        : windowed(experts, rig), counts(counts), balances(balances) {
        loads.assign(experts, 1.0);
        current = next_placement();
        loads.assign(experts, 0.0);
    }
    layer_placement next_placement() override { return place_packed(loads, counts(loads, rig.total_slots(), rig.devices()), rig); }

    bool            balances_tokens() const override { return balances; }

  private:
    count_rule counts;
    bool       balances;
};

// As long as the most loaded device is more than `ratio` times the mean: its busiest expert per copy gets one more copy on the least
// loaded device, in place of the copy there that is worth least (Shrink) or is exchanged with its home (Migrate).
class flexmoe_rebalancer : public windowed {
  public:
    flexmoe_rebalancer(uint32_t experts, const layer_rig & rig) : windowed(experts, rig) {
        const std::vector<double> even(experts, 1.0);
        current = place_packed(even, replica_counts_greedy(even, rig.total_slots(), rig.devices()), rig);
    }

    layer_placement next_placement() override {
        constexpr double   ratio = 1.05;
        constexpr uint32_t steps = 24;
        layer_placement    next  = current;
        for (uint32_t i = 0; i < steps && balance_of(next) > ratio && step(next); i++) {
        }
        return next;
    }

  private:
    double each(const layer_placement & placement, size_t expert) const { return loads[expert] / copies_of(placement[expert]); }

    std::vector<double> times_of(const layer_placement & placement) const {
        std::vector<double> times(rig.devices(), 0.0);
        for (size_t i = 0; i < placement.size(); i++) {
            for (uint32_t d = 0; d < rig.devices(); d++) {
                times[d] += placement[i] >> d & 1 ? each(placement, i) / rig.speeds[d] : 0.0;
            }
        }
        return times;
    }

    double balance_of(const layer_placement & placement) const {
        const std::vector<double> times = times_of(placement);
        double                    sum   = 0;
        for (const double time : times) {
            sum += time / double(times.size());
        }
        return sum > 0 ? *std::max_element(times.begin(), times.end()) / sum : 1.0;
    }

    bool step(layer_placement & placement) const {
        const std::vector<double> times = times_of(placement);
        const auto                from  = uint32_t(std::max_element(times.begin(), times.end()) - times.begin());
        const auto                to    = uint32_t(std::min_element(times.begin(), times.end()) - times.begin());
        size_t                    hot = placement.size(), cold = placement.size();
        for (size_t i = 0; i < placement.size(); i++) {
            const bool on_from = placement[i] >> from & 1, on_to = placement[i] >> to & 1;
            if (on_from && !on_to && (hot == placement.size() || each(placement, i) > each(placement, hot))) {
                hot = i;
            }
            if (on_to && (cold == placement.size() || each(placement, i) < each(placement, cold))) {
                cold = i;
            }
        }
        if (hot == placement.size() || cold == placement.size()) {
            return false;
        }
        layer_placement next = placement;
        next[hot] |= 1u << to;
        next[cold] &= ~(1u << to);
        if (next[cold] == 0) {  // its only copy: it changes places with one copy of the other
            next[cold] = 1u << from;
            next[hot] &= ~(1u << from);
        }
        if (balance_of(next) >= balance_of(placement)) {
            return false;
        }
        placement = std::move(next);
        return true;
    }
};

class adaptive_rebalancer : public rebalancer {
  public:
    adaptive_rebalancer(uint32_t experts, const layer_rig & rig, bool together, bool near)
        : controller(experts, near ? rig : layer_rig{ rig.speeds, rig.slots }), together(together), near(near) {}
    const layer_placement & placement() const override { return controller.placement(); }
    bool                    balances_tokens() const override { return true; }
    bool                    keeps_together() const override { return together; }
    bool                    prefers_links() const override { return near; }
    void                    observe(const std::vector<uint32_t> & tokens, const token_routes & routes, const std::vector<double> &) override {
        controller.observe(tokens, together ? routes : token_routes{ none, 0 });
    }
    uint32_t                end_window() override { return controller.decide().moved; }

  private:
    const std::vector<int32_t> none;
    replica_controller         controller;
    bool                       together, near;
};

// Slots in low precision are made once, after the first window; which experts are in them is looked at every window.
class replicate_quantize_rebalancer : public rebalancer {
  public:
    replicate_quantize_rebalancer(uint32_t experts, const layer_rig & rig, const low_precision_share & share)
        : rig(rig), share(share), full(experts, rig), quantised(experts, { rig.speeds, std::vector<uint32_t>(rig.devices(), 0), rig.links }), current(full.placement()), lowered(experts, false),
          loads(experts, 0.0), importance(experts, 0.0) {}

    const layer_placement & placement() const override { return current; }
    bool                    balances_tokens() const override { return true; }
    bool                    keeps_together() const override { return true; }
    bool                    prefers_links() const override { return true; }
    std::vector<bool>       low() const override { return lowered; }

    void observe(const std::vector<uint32_t> & tokens, const token_routes & routes, const std::vector<double> & weighed) override {
        full.observe(tokens, routes);
        quantised.observe(tokens, routes);
        for (size_t e = 0; e < loads.size(); e++) {
            loads[e] += tokens[e];
            importance[e] += weighed.empty() ? tokens[e] : weighed[e];
        }
    }

    uint32_t end_window() override {
        constexpr double memory = 0.7;
        if (!planned) {
            make_slots();
        } else {
            lowered = least_important_now(lowered, importance, {});
        }
        full.keep_out(lowered);
        std::vector<bool> others(lowered);
        others.flip();
        quantised.keep_out(others);
        const uint32_t moved = full.decide().moved + quantised.decide().moved;
        for (size_t e = 0; e < current.size(); e++) {
            current[e] = full.placement()[e] | quantised.placement()[e];
            importance[e] *= memory;
        }
        return moved;
    }

  private:
    void make_slots() {
        constexpr uint64_t bytes = 1 << 20;  // of an expert: the rig counts slots, so only its ratio to low_bytes matters
        precision_request  request;
        request.loads      = loads;
        request.importance = importance;
        request.speeds     = rig.speeds;
        request.full_bytes = bytes;
        request.low_bytes  = uint64_t(share.bytes * double(bytes));
        request.share      = share.most;
        for (const uint32_t slots : rig.slots) {
            request.bytes.push_back(slots * bytes);
        }
        const precision_plan plan = plan_precision(request);
        planned                   = true;
        lowered                   = plan.low;
        full.change({ rig.speeds, plan.full_slots, rig.links });
        quantised.change({ rig.speeds, plan.low_slots, rig.links });
    }

    layer_rig           rig;
    low_precision_share share;
    replica_controller  full, quantised;
    layer_placement     current;
    std::vector<bool>   lowered;
    std::vector<double> loads, importance;
    bool                planned = false;
};

}  // namespace

const std::vector<std::string> & rebalancer_names() {
    static const std::vector<std::string> names = { "static", "eplb", "eplb-split", "flexmoe", "swiftmoe", "adaptive-apart", "adaptive-anywhere", "adaptive", "replicate-quantize" };
    return names;
}

std::unique_ptr<rebalancer> rebalancer_make(const std::string & name, uint32_t experts, const layer_rig & rig, const low_precision_share & low) {
    check_rig(rig, experts);
    if (name == "static") {
        return std::make_unique<static_rebalancer>(experts, rig);
    }
    if (name == "eplb") {
        return std::make_unique<packed_rebalancer>(experts, rig, replica_counts_greedy);
    }
    if (name == "eplb-split") {
        return std::make_unique<packed_rebalancer>(experts, rig, replica_counts_greedy, true);
    }
    if (name == "flexmoe") {
        return std::make_unique<flexmoe_rebalancer>(experts, rig);
    }
    if (name == "swiftmoe") {
        return std::make_unique<packed_rebalancer>(experts, rig, replica_counts_proportional);
    }
    if (name == "adaptive" || name == "adaptive-apart" || name == "adaptive-anywhere") {
        return std::make_unique<adaptive_rebalancer>(experts, rig, name != "adaptive-apart", name != "adaptive-anywhere");
    }
    if (name == "replicate-quantize") {
        return std::make_unique<replicate_quantize_rebalancer>(experts, rig, low);
    }
    return nullptr;
}

}  // namespace moebius
