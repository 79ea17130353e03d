#include "device-replay.h"

#include "rebalancers.h"

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
    }

    void add(const std::vector<uint32_t> & tokens, const rebalancer & policy) {
        const double total = double(std::accumulate(tokens.begin(), tokens.end(), uint64_t(0)));
        if (total == 0) {
            return;
        }
        const layer_rig &         rig = settings.rig;
        const layer_placement &   at  = policy.placement();
        std::vector<double>       loads(rig.devices(), 0.0);
        for (const token_share & share : policy.balances_tokens() ? split_tokens(tokens, at, rig.speeds) : split_evenly(tokens, at, rig.devices())) {
            loads[share.device] += share.tokens;
        }
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
        }
        return result;
    }

    device_replay_result result;

  private:
    const device_replay_settings & settings;
    double                         all_speed = 0, balances = 0, assignments = 0, device_survivors = 0, copy_survivors = 0, count = 0;
};

}  // namespace

device_replay_result replay_on_devices(const std::vector<load_batch> & batches, const device_replay_settings & settings, const std::function<void()> & check) {
    tally          all(settings);
    const size_t   layers  = batches.empty() ? 0 : batches.front().size();
    const uint32_t experts = layers == 0 ? 0 : uint32_t(batches.front().front().size());
    std::vector<std::unique_ptr<rebalancer>> policies;
    for (size_t layer = 0; layer < layers; layer++) {
        policies.push_back(rebalancer_make(settings.policy, experts, settings.rig));
    }
    for (size_t b = 0; b < batches.size(); b++) {
        for (size_t layer = 0; layer < layers; layer++) {
            all.add(batches[b][layer], *policies[layer]);
            policies[layer]->observe(batches[b][layer]);
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
