#include "cache-replay.h"

#include "future-policy.h"

#include <algorithm>
#include <deque>

namespace moebius {

namespace {

expert_cache_shape shape_of(const replay_batches & batches, const replay_settings & settings) {
    const auto fits = [&](uint32_t slots) { return slots >= 1 && slots <= batches.experts(); };
    if (settings.slots.size() != batches.layers() || !std::all_of(settings.slots.begin(), settings.slots.end(), fits)) {
        throw user_error("request.invalid", "Every layer needs between 1 and " + std::to_string(batches.experts()) + " slots.",
                         { { "layers", batches.layers() }, { "experts", batches.experts() } });
    }
    return { batches.layers(), batches.experts(), settings.slots };
}

class replayer {
  public:
    replayer(const replay_batches & batches, const replay_settings & settings)
        : batches(batches), settings(settings), cache(make_cache(shape_of(batches, settings))) {
        result.layers.resize(batches.layers());
        result.replies.resize(batches.layers());
        result.tokens = batches.tokens();
        ahead.assign(batches.experts(), false);
        for (uint32_t layer = 0; layer < batches.layers(); layer++) {
            for (uint32_t expert = 0; expert < settings.slots[layer]; expert++) {
                cache.take({ layer, expert });
            }
        }
    }

    replay_result run() {
        for (uint32_t batch = 0; batch < batches.count(); batch++) {
            if (settings.check) {
                settings.check();
            }
            for (uint32_t layer = 0; layer < batches.layers(); layer++) {
                uses.assign(batches.begin(batch, layer), batches.end(batch, layer));
                if (!uses.empty()) {
                    read_before(layer);
                    const replay_figures before = result.layers[layer];
                    run_layer(layer);
                    if (batches.tokens(batch) == 1 && !batches.begins_prompt(batch)) {
                        count_reply(layer, before);
                    }
                }
            }
        }
        for (const replay_figures & layer : result.layers) {
            result.all.uses += layer.uses;
            result.all.hits += layer.hits;
            result.all.misses += layer.misses;
            result.all.prefetched += layer.prefetched;
            result.all.useful += layer.useful;
        }
        return std::move(result);
    }

  private:
    slot_cache make_cache(const expert_cache_shape & shape) {
        std::unique_ptr<cache_policy> policy = replay_policy_make(settings.policy, batches, shape);
        if (!policy) {
            throw user_error("request.invalid", "There is no cache policy '" + settings.policy + "'.", { { "policy", settings.policy } });
        }
        ranking  = policy.get();
        prophet  = dynamic_cast<const future_policy *>(ranking) != nullptr;
        return slot_cache(shape, std::move(policy));
    }

    bool resident(uint32_t layer, uint32_t expert) const { return cache.slot_of({ layer, expert }) != slot_cache::none; }

    void read_before(uint32_t layer) {
        if (settings.ahead.most == 0) {
            return;
        }
        const std::vector<taken_slot> taken = cache.take_ahead(layer, cache.foresee(layer), settings.ahead);
        result.layers[layer].prefetched += taken.size();
        for (const taken_slot & one : taken) {
            ahead[one.expert] = true;
        }
        for (const expert_use & use : uses) {
            result.layers[layer].useful += ahead[use.expert];
        }
        for (const taken_slot & one : taken) {
            ahead[one.expert] = false;
        }
    }

    void count_reply(uint32_t layer, const replay_figures & before) {
        const replay_figures & after = result.layers[layer];
        result.replies[layer].uses += after.uses - before.uses;
        result.replies[layer].hits += after.hits - before.hits;
        result.replies[layer].misses += after.misses - before.misses;
    }

    void run_layer(uint32_t layer) {
        cache.used(layer, uses);
        const auto missing = std::stable_partition(uses.begin(), uses.end(), [&](const expert_use & use) { return resident(layer, use.expert); });
        result.layers[layer].uses += uses.size();
        result.layers[layer].hits += uint64_t(missing - uses.begin());
        result.layers[layer].misses += uint64_t(uses.end() - missing);
        if (prophet && uses.size() > settings.slots[layer]) {
            pass_as_foreseen(layer, size_t(missing - uses.begin()));
        } else {
            pass_in_order(layer, size_t(missing - uses.begin()));
        }
    }

    // Those that are there are computed first and free their slots in that order.
    void pass_in_order(uint32_t layer, size_t present) {
        std::deque<uint32_t> pinned;
        for (size_t i = 0; i < uses.size(); i++) {
            const expert_ref expert{ layer, uses[i].expert };
            while (i >= present && cache.take(expert) == slot_cache::none) {
                cache.unpin({ layer, pinned.front() });
                pinned.pop_front();
            }
            cache.pin(expert);
            pinned.push_back(expert.expert);
        }
        for (const uint32_t expert : pinned) {
            cache.unpin({ layer, expert });
        }
    }

    // Nobody is pinned, and a newcomer that is wanted later than all residents passes without displacing any. An engine needs one slot
    // for it; granting it that makes the bound one for every order in which a batch may be computed.
    void pass_as_foreseen(uint32_t layer, size_t present) {
        for (size_t i = present; i < uses.size(); i++) {
            const expert_ref newcomer{ layer, uses[i].expert };
            expert_ref       evicted;
            cache.take(newcomer, &evicted);
            if (ranking->keep_value(evicted) > ranking->keep_value(newcomer)) {
                cache.drop(newcomer);
                cache.take(evicted);
            }
        }
    }

    const replay_batches &  batches;
    const replay_settings & settings;
    const cache_policy *    ranking = nullptr;  // of `cache`
    bool                    prophet = false;    // it knows the future
    slot_cache              cache;
    std::vector<expert_use> uses;               // of the batch and layer at work
    std::vector<bool>       ahead;              // [expert] read ahead for them
    replay_result           result;
};

}  // namespace

replay_result replay(const replay_batches & batches, const replay_settings & settings) {
    return replayer(batches, settings).run();
}

std::vector<uint32_t> replay_slots(const replay_batches & batches, uint32_t slots) {
    return std::vector<uint32_t>(batches.layers(), std::clamp(slots, 1u, std::max(batches.experts(), 1u)));
}

}  // namespace moebius
