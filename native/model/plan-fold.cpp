#include "plan-fold.h"

#include "devices.h"
#include "experts/store/device-slots.h"
#include "plan-layout.h"

namespace moebius {

namespace {

// The options that a split is about, in the form of LoadOptions.
json split_options(const fold & split, const expert_layout & layout, const std::vector<std::string> & gpus) {
    json         some = json::object();
    load_options options;
    apply_split(split, layout, gpus, options);
    const json all = options_to_json(options);
    for (const char * key : { "devices", "gpuLayers", "tensorSplit", "cpuExpertLayers", "expertRamBytes", "expertDevices" }) {
        if (all.contains(key)) {
            some[key] = all[key];
        }
    }
    return some;
}

json split_to_json(const split_forecast & of, const turn_lengths & lengths, const expert_layout & layout, const std::vector<std::string> & gpus, size_t blocks) {
    json on = { { cpu_device_id, blocks - of.split.blocks_on_gpus() } }, copies = json::object();
    for (size_t g = 0; g < gpus.size(); g++) {
        on[gpus[g]] = of.split.blocks[g];
        if (!of.split.whole) {
            copies[gpus[g]] = of.split.copies[g];
        }
    }
    return {
        { "blocks", std::move(on) },
        { "whole", of.split.whole },
        { "copies", std::move(copies) },
        { "seconds", of.turn.seconds(lengths) },
        { "prefillTokensPerSecond", lengths.prompt / of.turn.prefill.seconds },
        { "decodeTokensPerSecond", 1 / of.turn.decode.seconds },
        { "options", split_options(of.split, layout, gpus) },
    };
}

}  // namespace

uint64_t usable_bytes(uint64_t free) {
    constexpr double share = 0.95;  // as in fit_experts
    return uint64_t(double(free) * share);
}

best_split find_split(const planned_turn & turn, const turn_lengths & lengths, const plan_sizes & sizes, const expert_layout & layout, const plan_rooms & rooms, const hit_rates & guess,
                      const hit_rates & hits) {
    const folding found       = fold_best(sizes, layout, rooms, turn.costs(sizes, guess));
    const auto    forecast_of = [&](const fold & split) {
        return split_forecast{ split, turn.forecast(placement_of(fold_to_plan(split, sizes, layout), layout, hits)) };
    };
    const split_forecast best = forecast_of(found.best), coupled = forecast_of(found.coupled);
    return { best.turn.seconds(lengths) <= coupled.turn.seconds(lengths) ? best : coupled, coupled, found.tried };
}

void apply_split(const fold & split, const expert_layout & layout, const std::vector<std::string> & gpus, load_options & options) {
    const std::vector<uint32_t> shares = split.tensor_split();
    options.devices                    = gpus;
    options.gpu_layers                 = int32_t(split.gpu_layers());
    options.cpu_expert_layers          = 0;
    options.tensor_split.clear();
    if (split.gpu_layers() > 0) {
        options.tensor_split.assign(shares.begin(), shares.end());
    }
    options.expert_ram_bytes = split.whole ? 0 : split.ram_bytes;
    options.expert_devices.emplace();
    for (size_t g = 0; g < gpus.size() && !split.whole; g++) {
        if (split.copies[g] > 0) {
            options.expert_devices->push_back({ gpus[g], device_slots_bytes(layout, std::vector<uint32_t>(layout.layers.size(), split.copies[g])) });
        }
    }
}

json best_split_to_json(const best_split & found, const turn_lengths & lengths, const expert_layout & layout, const std::vector<std::string> & gpus, size_t blocks) {
    return {
        { "chosen", split_to_json(found.chosen, lengths, layout, gpus, blocks) },
        { "coupled", split_to_json(found.coupled, lengths, layout, gpus, blocks) },
        { "speedup", found.coupled.turn.seconds(lengths) / found.chosen.turn.seconds(lengths) },
        { "tried", found.tried },
    };
}

}  // namespace moebius
