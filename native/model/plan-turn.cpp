#include "plan-turn.h"

#include "plan-layout.h"

#include <algorithm>
#include <map>

namespace moebius {

planned_turn::planned_turn(planned_model & of, const turn_lengths & tokens, const plan_machine & on, const std::vector<bool> & used, const std::function<void()> & check)
    : model(of), lengths(tokens), machine(on) {
    const uint32_t whole = lengths.prompt / lengths.batch, rest = lengths.prompt % lengths.batch;
    if (whole > 0) {
        steps.push_back({ price_step(model, lengths.batch, (whole + 1) * lengths.batch / 2, machine, used), double(whole) });
        check();
    }
    if (rest > 0) {
        steps.push_back({ price_step(model, rest, lengths.prompt, machine, used), 1 });
        check();
    }
    steps.push_back({ price_step(model, 1, lengths.prompt + lengths.reply / 2, machine, used), double(lengths.reply) });
    check();
}

turn_forecast planned_turn::forecast(const plan_placement & placement) const {
    step_work prompt;
    for (size_t i = 0; i + 1 < steps.size(); i++) {
        const uint32_t times = uint32_t(steps[i].times);
        step_work      step  = work_of(model, steps[i].prices, machine, placement);
        for (step_part & part : step.parts) {
            part.count *= times;
            prompt.parts.push_back(part);
        }
        for (uint32_t n = 0; n < times; n++) {
            prompt.experts.insert(prompt.experts.end(), step.experts.begin(), step.experts.end());
        }
        prompt.overhead += times * step.overhead;
        prompt.moved += times * step.moved;
    }
    return { forecast_step(prompt, machine.rig), forecast_step(work_of(model, steps.back().prices, machine, placement), machine.rig) };
}

// Layers that are alike, as most are, are priced once.
double planned_turn::spread_seconds(const plan_placement & placement) const {
    using layer_key = std::tuple<double, double, uint32_t, std::vector<uint32_t>, double, double, double, double>;
    std::map<layer_key, double> known;
    const auto seconds = [&](const planned_ffn & ffn) {
        const expert_place_plan & place = placement.experts[ffn.layer];
        const expert_layer &      of    = model.layout().layers[ffn.layer];
        const layer_key           key{ expert_bytes(of), expert_operations(of), ffn.tokens, place.slots, place.found, place.missing, place.absent, place.distinct };
        const auto                found = known.find(key);
        if (found != known.end()) {
            return found->second;
        }
        const expert_step priced = price_experts(model, ffn, machine, place);
        return known[key]        = expert_seconds(priced) + hops_of_experts(priced, machine) * hop_seconds(model, ffn.tokens, machine);
    };
    double sum = 0;
    for (const priced_step & step : steps) {
        for (const planned_ffn & ffn : step.prices.experts) {
            sum += step.times * seconds(ffn);
        }
    }
    return sum;
}

fold_costs planned_turn::costs(const plan_sizes & sizes, const hit_rates & hits) const {
    const size_t devices = machine.rig.size();
    fold_costs   costs;
    costs.blocks.assign(model.blocks(), std::vector<double>(devices, 0.0));
    costs.head.assign(devices, 0.0);
    for (const priced_step & step : steps) {
        const step_prices & prices = step.prices;
        const auto          all_of = [&](const step_part & part) { return step.times * part.count * part.seconds; };
        for (size_t d = 0; d < devices; d++) {
            costs.head[d] += all_of(prices.head[d]);
            for (size_t b = 0; b < costs.blocks.size(); b++) {
                costs.blocks[b][d] += all_of(prices.blocks[b][d]);
            }
        }
        costs.rest += all_of(prices.embedding) + step.times * prices.overhead;
        costs.hop += step.times * hop_seconds(model, prices.tokens, machine);
    }
    costs.whole.assign(model.layout().layers.size(), std::vector<double>(devices, 0.0));
    for (size_t d = 0; d < devices; d++) {
        expert_place_plan alone;
        alone.slots.assign(devices, 0);
        alone.slots[d] = model.layout().experts;
        for (const priced_step & step : steps) {
            for (const planned_ffn & ffn : step.prices.experts) {
                costs.whole[ffn.layer][d] += step.times * expert_seconds(price_experts(model, ffn, machine, alone));
            }
        }
    }
    costs.spread = [this, &sizes, &hits](const std::vector<uint32_t> & copies, uint64_t ram_bytes) {
        const fold split{ std::vector<uint32_t>(copies.size(), 0), false, copies, ram_bytes, 0 };
        return spread_seconds(placement_of(fold_to_plan(split, sizes, model.layout()), model.layout(), hits));
    };
    return costs;
}

}  // namespace moebius
