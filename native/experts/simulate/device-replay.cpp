#include "device-replay.h"

#include "experts/policy/link-preference.h"

#include <algorithm>
#include <numeric>

namespace moebius {

namespace {

// Evenly over the copies, the rest to the first ones.
std::vector<token_share> split_evenly(const std::vector<uint32_t> & tokens, const layer_placement & placement, uint32_t devices) {
    std::vector<token_share> shares;
    for (uint32_t i = 0; i < tokens.size(); i++) {
        uint32_t copies = copies_of(placement[i]), left = tokens[i];
        for (uint32_t d = 0; d < devices && left > 0; d++) {
            if (placement[i] >> d & 1) {
                const uint32_t part = (left + copies - 1) / copies;
                shares.push_back({ i, d, part });
                left -= part;
                copies--;
            }
        }
    }
    return shares;
}

class tally {
  public:
    explicit tally(const device_replay_settings & settings) : settings(settings) {
        all_speed = std::accumulate(settings.rig.speeds.begin(), settings.rig.speeds.end(), 0.0);
        const std::vector<double> & links = settings.rig.links;
        for (uint32_t d = 0; d < links.size(); d++) {
            costs.push_back({ 0, 0, 1 / settings.rig.speeds[d] });
            slow |= links[d] > 2 * *std::min_element(links.begin(), links.end()) ? 1u << d : 0;
        }
    }

    void add(const load_batch & batch, size_t layer, const rebalancer & policy) {
        const std::vector<uint32_t> & tokens = batch.tokens[layer];
        const double total = double(std::accumulate(tokens.begin(), tokens.end(), uint64_t(0)));
        if (total == 0) {
            return;
        }
        const layer_rig &         rig = settings.rig;
        const layer_placement &   at  = policy.placement();
        std::vector<double>       loads(rig.devices(), 0.0);
        auto                      shares = policy.balances_tokens() ? split_tokens(tokens, at, rig.speeds) : split_evenly(tokens, at, rig.devices());
        if (policy.prefers_links()) {
            shares = over_preferred_links(std::move(shares), at);
        }
        for (const token_share & share : shares) {
            loads[share.device] += share.tokens;
        }
        const token_routes routes = batch.routes_of(layer);
        count_transfers(layer, devices_of_tokens(routes, policy.keeps_together() ? assign_tokens(routes, shares, policy.prefers_links() ? rig.links : std::vector<double>()) : assign_in_order(routes, shares)));
        double time = 0;
        for (uint32_t d = 0; d < rig.devices(); d++) {
            time = std::max(time, loads[d] / rig.speeds[d]);
            device_survivors += std::min(loads[d], settings.capacity_factor * total * rig.speeds[d] / all_speed);
        }
        uint32_t slots = 0;
        for (size_t i = 0; i < tokens.size(); i++) {
            slots += copies_of(at[i]);
        }
        for (size_t i = 0; i < tokens.size(); i++) {
            copy_survivors += std::min(double(tokens[i]), copies_of(at[i]) * settings.capacity_factor * total / slots);
        }
        const std::vector<bool> low = policy.low();
        for (size_t i = 0; i < low.size(); i++) {
            in_low_precision += low[i] ? tokens[i] : 0;
        }
        const double balance = time / (total / all_speed);
        result.balance_worst = std::max(result.balance_worst, balance);
        result.makespan += time;
        balances += balance;
        assignments += total;
        count++;
    }

    device_replay_result take() {
        if (count > 0) {
            result.balance_mean     = balances / count;
            result.survived_devices = device_survivors / assignments;
            result.survived_copies  = copy_survivors / assignments;
            result.low_share        = in_low_precision / assignments;
            result.devices_per_token = rows / std::max(tokens_sent, 1.0);
            result.slow_rows         = rows_over_slow / std::max(rows, 1.0);
            result.hops_per_token    = hops / std::max(tokens_followed, 1.0);
        }
        return result;
    }

    device_replay_result result;

  private:
    // As far as the slowest device ends no later.
    std::vector<token_share> over_preferred_links(std::vector<token_share> shares, const layer_placement & at) const {
        std::vector<double> loads(settings.rig.devices(), 0.0);
        double              end = 0;
        for (const token_share & share : shares) {
            loads[share.device] += share.tokens;
            end = std::max(end, loads[share.device] / settings.rig.speeds[share.device]);
        }
        return prefer_links(std::move(shares), at, costs, settings.rig.links, end);
    }

    // sets: [tokens]
    void count_transfers(size_t layer, std::vector<device_set> sets) {
        for (size_t t = 0; t < sets.size(); t++) {
            rows += copies_of(sets[t]);
            rows_over_slow += copies_of(sets[t] & slow);
            tokens_sent += sets[t] != 0 ? 1 : 0;
            if (layer > 0 && t < below.size() && below[t] != 0 && sets[t] != 0) {
                hops += copies_of(sets[t] & ~below[t]);
                tokens_followed++;
            }
        }
        below = std::move(sets);
    }

    const device_replay_settings & settings;
    std::vector<device_set>        below;  // of the layer before
    std::vector<batch_cost>        costs;     // [devices], where links are known
    device_set                     slow = 0;  // devices
    double                         rows_over_slow = 0, rows = 0, tokens_sent = 0, hops = 0, tokens_followed = 0, in_low_precision = 0;
    double                         all_speed = 0, balances = 0, assignments = 0, device_survivors = 0, copy_survivors = 0, count = 0;
};

}  // namespace

device_replay_result replay_on_devices(const std::vector<load_batch> & batches, const device_replay_settings & settings, const std::function<void()> & check) {
    tally          all(settings);
    const size_t   layers  = batches.empty() ? 0 : batches.front().tokens.size();
    const uint32_t experts = layers == 0 ? 0 : uint32_t(batches.front().tokens.front().size());
    std::vector<std::unique_ptr<rebalancer>> policies;
    for (size_t layer = 0; layer < layers; layer++) {
        policies.push_back(rebalancer_make(settings.policy, experts, settings.rig, settings.low));
    }
    for (size_t b = 0; b < batches.size(); b++) {
        for (size_t layer = 0; layer < layers; layer++) {
            all.add(batches[b], layer, *policies[layer]);
            policies[layer]->observe(batches[b].tokens[layer], batches[b].routes_of(layer), batches[b].importance.empty() ? std::vector<double>() : batches[b].importance[layer]);
        }
        if ((b + 1) % settings.window == 0) {
            check();
            all.result.windows++;
            for (const auto & policy : policies) {
                all.result.copies_moved += policy->end_window();
            }
        }
    }
    return all.take();
}

}  // namespace moebius
