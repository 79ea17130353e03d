#include "going-on.h"

#include "rpc/errors.h"
#include "train/base/base-checksum.h"

#include <cinttypes>
#include <cstdio>
#include <filesystem>
#include <set>
#include <sstream>

namespace moebius {

namespace {

std::string hexadecimal(uint64_t number) {
    char text[17];
    std::snprintf(text, sizeof(text), "%016" PRIx64, number);
    return text;
}

uint64_t from_hexadecimal(const std::string & text) { return std::stoull(text, nullptr, 16); }

void add_lora(json & all, const std::string & name, const lora_settings & of) {
    if (of.lora_rank > 0) {
        all[name + ".loraRank"]       = of.lora_rank;
        all[name + ".loraAlpha"]      = of.lora_alpha;
        all[name + ".rankStabilised"] = of.is_rank_stabilised;
        all[name + ".dropout"]        = of.dropout;
    }
}

void add_adapter(json & all, const adapter_settings & of) {
    add_lora(all, "adapter.attention", of.attention);
    add_lora(all, "adapter.ffn", of.ffn);
    add_lora(all, "adapter.mixture", of.mixture.lora);
    add_lora(all, "adapter.experts", of.experts);
    add_lora(all, "adapter.shared", of.shared);
    add_lora(all, "adapter.router", of.router);
    if (of.mixture.experts > 0) {
        all["adapter.mixture.expertCount"]     = of.mixture.experts;
        all["adapter.mixture.expertUsedCount"] = of.mixture.experts_used;
    }
    if (of.affinity) {
        all["adapter.experts.chosen.method"]       = of.affinity->by == affinity_kind::gate ? "gate" : "tokens";
        all["adapter.experts.chosen.topP"]         = of.affinity->top_p;
        all["adapter.experts.chosen.sampleTokens"] = of.affinity->sample_tokens;
    } else if (!of.chosen.experts.empty()) {
        all["adapter.experts.chosen.layers"] = of.chosen.experts;
    }
    all["adapter.wholeRouter"]    = of.whole_router;
    all["adapter.wholeNorms"]     = of.whole_norms;
    all["adapter.wholeEmbedding"] = of.whole_embedding;
    all["adapter.wholeHead"]      = of.whole_head;
}

void add_optimiser(json & all, const optimiser_settings & of, double b_rate_factor) {
    all["optimiser.kind"]        = optimiser_name(of.kind);
    all["optimiser.weightDecay"] = of.weight_decay;
    all["optimiser.momentum"]    = of.momentum;
    all["optimiser.beta1"]       = of.beta1;
    all["optimiser.beta2"]       = of.beta2;
    all["optimiser.epsilon"]     = of.epsilon;
    all["optimiser.bRateFactor"] = b_rate_factor;
}

void add_schedule(json & all, const learning_rate_schedule & of) {
    all["schedule.kind"]          = schedule_name(of.kind);
    all["schedule.learningRate"]  = of.learning_rate;
    all["schedule.warmupSteps"]   = of.warmup_steps;
    all["schedule.finalFraction"] = of.final_fraction;
    if (of.kind == schedule_kind::power) {
        all["schedule.powerA"]         = of.power_a;
        all["schedule.powerB"]         = of.power_b;
        all["schedule.batchSequences"] = of.batch_sequences;
    }
}

void add_routers(json & all, const router_settings & of, const router_loss_factors & losses) {
    all["routerLosses.balance"] = losses.balance;
    all["routerLosses.z"]       = losses.z;
    all["routerGradient.kind"]  = router_gradient_name(of.gradient);
    all["routerGradient.reach"] = of.reach;
    all["routerGradient.beta"]  = of.beta;
    all["expertUsedCount.min"]  = of.used.least;
    all["expertUsedCount.max"]  = of.used.most;
}

// By the names that a job has for them; with what is usual where it says nothing.
json fixed_settings(const run_settings & of) {
    json all;
    add_adapter(all, of.adapter);
    add_optimiser(all, of.optimiser, of.b_rate_factor);
    add_schedule(all, of.schedule);
    add_routers(all, of.routers, of.router_losses);
    const bool is_dpo = of.objective == train_objective::dpo;
    all["objective"]      = is_dpo ? "dpo" : "next-token";
    all["weighting"]      = of.weighting == target_weighting::tokens ? "tokens" : "sequences";
    all["batchTokens"]    = of.batch_tokens;
    all["batchesPerStep"] = of.batches_per_step;
    all["clip"]           = of.clip;
    all["seed"]           = of.seed;
    if (is_dpo) {
        all["dpo.beta"]           = of.preference.beta;
        all["dpo.labelSmoothing"] = of.preference.label_smoothing;
        all["dpo.sftWeight"]      = of.preference.sft_weight;
    }
    return all;
}

std::string value_text(const json & all, const std::string & name) {
    if (!all.contains(name)) {
        return "none";
    }
    if (!all[name].is_number_float()) {
        return all[name].is_string() ? all[name].get<std::string>() : all[name].dump();
    }
    std::ostringstream text;
    text << all[name].get<double>();
    return text.str();
}

}  // namespace

json origin_to_json(const run_origin & origin) {
    return { { "base", origin.base }, { "baseChecksum", hexadecimal(origin.base_checksum) }, { "examples", origin.examples }, { "dataChecksum", hexadecimal(origin.data_checksum) } };
}

run_origin origin_from_json(const json & from) {
    return { from.at("base").get<std::string>(), from_hexadecimal(from.at("baseChecksum").get<std::string>()), from.at("examples").get<uint64_t>(), from_hexadecimal(from.at("dataChecksum").get<std::string>()) };
}

void refuse_other_base(const run_origin & begun, const gguf_model & now) {
    const uint64_t checksum = base_checksum(now);
    if (checksum != begun.base_checksum) {
        throw user_error("request.invalid",
                         "The run was begun with another base: " + begun.base + " with the checksum " + hexadecimal(begun.base_checksum) + ", and " + now.files.front() + " has " + hexadecimal(checksum) +
                             ". Put that model back, or begin another run.",
                         { { "parameter", "model" }, { "begun", hexadecimal(begun.base_checksum) }, { "now", hexadecimal(checksum) } });
    }
}

void refuse_other_origin(const run_origin & begun, const run_origin & now) {
    if (begun.data_checksum != now.data_checksum) {
        throw user_error("request.invalid",
                         "The run was begun with other data: " + std::to_string(begun.examples) + " examples with the checksum " + hexadecimal(begun.data_checksum) + ", and now there are " + std::to_string(now.examples) + " with " +
                             hexadecimal(now.data_checksum) + ". Go on with the same rows and settings of the data, or begin another run in a folder of its own.",
                         { { "parameter", "data" }, { "begun", hexadecimal(begun.data_checksum) }, { "now", hexadecimal(now.data_checksum) } });
    }
}

run_settings settings_to_go_on(const json & wanted, const expert_choice & chosen) {
    run_settings settings = run_settings_of(wanted);
    if (settings.adapter.affinity) {
        settings.adapter.chosen = chosen;
    }
    return settings;
}

void refuse_other_settings(const json & begun, const json & now) {
    const json            before = fixed_settings(run_settings_of(begun)), after = fixed_settings(run_settings_of(now));
    std::set<std::string> names;
    for (const json * each : { &before, &after }) {
        for (const auto & [name, value] : each->items()) {
            names.insert(name);
        }
    }
    std::string differences;
    json        differing = json::array();
    for (const std::string & name : names) {
        const bool in_both = before.contains(name) && after.contains(name);
        if (!in_both || before[name] != after[name]) {
            differences += (differences.empty() ? "" : "; ") + name + " " + value_text(before, name) + ", now " + value_text(after, name);
            differing.push_back(name);
        }
    }
    if (!differing.empty()) {
        throw user_error("request.invalid", "The run was begun with other settings: " + differences + ". Go on with those that it was begun with, or begin another run in a folder of its own.",
                         { { "parameter", differing.front() }, { "settings", differing } });
    }
}

}  // namespace moebius
