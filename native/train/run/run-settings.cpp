#include "run-settings.h"

#include "model/devices.h"
#include "rpc/errors.h"
#include "rpc/parameters.h"

#include <algorithm>
#include <limits>
#include <thread>

namespace moebius {

namespace {

constexpr double  huge       = std::numeric_limits<double>::max();
constexpr int64_t most_steps = int64_t(1) << 40;
constexpr float   mixture_balance = 0.01f;  // the paper's: a new router would send all to a few

lora_settings lora_in(parameters & source) {
    lora_settings how;
    how.lora_rank          = source.integer("loraRank", 1, 4096);
    how.lora_alpha         = float(source.optional_number("loraAlpha", 1e-6, 1e6).value_or(2 * double(how.lora_rank)));
    how.is_rank_stabilised = source.optional_boolean("rankStabilised").value_or(false);
    how.dropout            = float(source.optional_number("dropout", 0, 0.99).value_or(0));
    return how;
}

lora_settings lora_of(parameters & from, const char * key) {
    lora_settings how;
    if (const json * wanted = from.optional_object(key)) {
        parameters source(*wanted, std::string("adapter.") + key);
        how = lora_in(source);
        source.finish();
    }
    return how;
}

expert_choice named_experts(const json & layers) {
    expert_choice choice;
    for (const auto & [key, numbers] : layers.items()) {
        const bool is_layer = !key.empty() && key.size() <= 5 && key.find_first_not_of("0123456789") == std::string::npos;
        const bool is_list  = numbers.is_array() && !numbers.empty() && std::all_of(numbers.begin(), numbers.end(), [](const json & each) { return each.is_number_integer() && each >= 0 && each < 65536; });
        if (!is_layer || !is_list) {
            throw user_error("request.invalid", "adapter.experts.chosen.layers names experts by layer, as { \"0\": [1, 5] }: numbers from 0 on, at least one of each layer that is named.",
                             { { "parameter", "adapter.experts.chosen.layers" } });
        }
        const size_t layer = size_t(std::stoul(key));
        choice.experts.resize(std::max(choice.experts.size(), layer + 1));
        choice.experts[layer] = numbers.get<std::vector<int32_t>>();
        std::sort(choice.experts[layer].begin(), choice.experts[layer].end());
    }
    return choice;
}

// Named, or by affinity.
void confine_experts(const json & wanted, adapter_settings & settings) {
    parameters source(wanted, "adapter.experts.chosen");
    if (const json * layers = source.optional_object("layers")) {
        settings.chosen = named_experts(*layers);
        if (settings.chosen.experts.empty()) {
            source.refuse("layers", "names no expert; leave adapter.experts out to train none");
        }
    } else {
        affinity_settings by;
        by.by             = source.optional_choice("method", { "gate", "tokens" }).value_or("gate") == "gate" ? affinity_kind::gate : affinity_kind::tokens;
        by.top_p          = source.optional_number("topP", 1e-6, 1).value_or(by.top_p);
        by.sample_tokens  = source.optional_integer("sampleTokens", 1, 1000000000).value_or(by.sample_tokens);
        settings.affinity = by;
    }
    source.finish();
}

void experts_of(parameters & from, adapter_settings & settings) {
    if (const json * wanted = from.optional_object("experts")) {
        parameters source(*wanted, "adapter.experts");
        settings.experts = lora_in(source);
        if (const json * chosen = source.optional_object("chosen")) {
            confine_experts(*chosen, settings);
        }
        source.finish();
    }
}

mixture_settings mixture_of(parameters & from) {
    mixture_settings how;
    if (const json * wanted = from.optional_object("mixture")) {
        parameters source(*wanted, "adapter.mixture");
        how.lora         = lora_in(source);
        how.experts      = source.optional_integer("expertCount", 2, 256).value_or(8);
        how.experts_used = source.optional_integer("expertUsedCount", 1, how.experts).value_or(2);
        source.finish();
    }
    return how;
}

adapter_settings adapter_of(const json & wanted, uint64_t seed) {
    parameters       source(wanted, "adapter");
    adapter_settings settings;
    settings.attention    = lora_of(source, "attention");
    settings.ffn          = lora_of(source, "ffn");
    settings.mixture      = mixture_of(source);
    experts_of(source, settings);
    settings.shared       = lora_of(source, "shared");
    settings.router       = lora_of(source, "router");
    settings.whole_router = source.optional_boolean("wholeRouter").value_or(false);
    settings.whole_norms  = source.optional_boolean("wholeNorms").value_or(false);
    settings.whole_embedding = source.optional_boolean("wholeEmbedding").value_or(false);
    settings.whole_head      = source.optional_boolean("wholeHead").value_or(false);
    settings.seed         = seed;
    source.finish();
    return settings;
}

// They would be taken and do nothing.
void refuse_of_other_kind(const parameters & source, const std::string & kind, bool are_of_another, const std::vector<const char *> & keys) {
    for (const char * key : keys) {
        if (are_of_another && source.has(key)) {
            source.refuse(key, "does nothing where the kind is \"" + kind + "\"; leave it out, or choose another kind");
        }
    }
}

optimiser_settings optimiser_of(const json & wanted, double & b_rate_factor) {
    parameters         source(wanted, "optimiser");
    optimiser_settings settings;
    const std::string  kind = source.optional_choice("kind", { "adamw", "adamw-8bit", "sgd" }).value_or("adamw");
    settings.kind           = kind == "sgd" ? optimiser_kind::sgd : kind == "adamw" ? optimiser_kind::adamw : optimiser_kind::adamw_8bit;
    settings.weight_decay   = source.optional_number("weightDecay", 0, 1).value_or(0);
    refuse_of_other_kind(source, kind, kind == "sgd", { "beta1", "beta2", "epsilon" });
    refuse_of_other_kind(source, kind, kind != "sgd", { "momentum" });
    settings.momentum       = source.optional_number("momentum", 0, 1).value_or(0);
    settings.beta1          = source.optional_number("beta1", 0, 1).value_or(settings.beta1);
    settings.beta2          = source.optional_number("beta2", 0, 1).value_or(settings.beta2);
    settings.epsilon        = source.optional_number("epsilon", 1e-30, 1).value_or(settings.epsilon);
    b_rate_factor           = source.optional_number("bRateFactor", 1e-6, 1e6).value_or(1);
    source.finish();
    return settings;
}

learning_rate_schedule schedule_of(const json & wanted) {
    parameters             source(wanted, "schedule");
    learning_rate_schedule schedule;
    const std::string      kind = source.optional_choice("kind", { "constant", "linear", "cosine", "wsd", "power" }).value_or("constant");
    refuse_of_other_kind(source, kind, kind != "power", { "powerA", "powerB", "batchSequences" });
    refuse_of_other_kind(source, kind, kind != "power" && kind != "wsd", { "decaySteps" });
    refuse_of_other_kind(source, kind, kind == "constant", { "finalFraction" });
    schedule.kind            = schedule_named(kind);
    schedule.steps           = source.integer("steps", 1, most_steps);
    schedule.learning_rate   = source.optional_number("learningRate", 0, 1e3).value_or(2e-4);
    schedule.warmup_steps    = source.optional_integer("warmupSteps", 0, most_steps).value_or(0);
    schedule.decay_steps     = source.optional_integer("decaySteps", 0, most_steps).value_or(0);
    if (kind == "wsd" && schedule.decay_steps == 0) {
        source.refuse("decaySteps", "is 0, and a \"wsd\" schedule without its decay is a constant one; name the last steps that it is for, or choose \"constant\"");
    }
    schedule.final_fraction  = source.optional_number("finalFraction", 0, 1).value_or(0);
    schedule.power_a         = source.optional_number("powerA", 0, huge).value_or(schedule.power_a);
    schedule.power_b         = source.optional_number("powerB", -huge, 0).value_or(schedule.power_b);
    schedule.batch_sequences = source.optional_integer("batchSequences", 0, most_steps).value_or(0);
    source.finish();
    return schedule;
}

device_settings devices_of(const json & wanted) {
    parameters      source(wanted, "devices");
    device_settings settings;
    if (const auto bytes = source.optional_integer("activationBytes", 0, std::numeric_limits<int64_t>::max())) {
        settings.activation_bytes = uint64_t(*bytes);
    }
    settings.reserved_bytes = uint64_t(source.optional_integer("reservedBytes", 0, std::numeric_limits<int64_t>::max()).value_or(0));
    if (const json * experts = source.optional_array("experts")) {
        for (const json & each : *experts) {
            parameters             of(each, "devices.experts");
            expert_device_settings made;
            made.device = of.string("device", 1);
            made.slots  = of.optional_integer("slots", 1, 65536);
            made.bytes  = uint64_t(of.optional_integer("bytes", 1, std::numeric_limits<int64_t>::max()).value_or(std::numeric_limits<int64_t>::max()));
            of.finish();
            settings.experts.push_back(std::move(made));
        }
    }
    source.finish();
    return settings;
}

// More threads than processors wait for each other at every node: a step takes many times as long.
int threads_of(parameters & source) {
    const int64_t processors = std::max(1u, std::thread::hardware_concurrency()), most = std::max<int64_t>(processors, 8);
    const int64_t threads    = source.optional_integer("threads", 1, 512).value_or(processors);
    if (threads > most) {
        source.refuse("threads", "is " + std::to_string(threads) + ", and this machine has " + std::to_string(processors) + " processors, for which more threads are only slower; leave it out, or name at most " + std::to_string(most));
    }
    return int(threads);
}

preference_settings preference_of(const json & wanted) {
    parameters          source(wanted, "settings.dpo");
    preference_settings settings;
    settings.beta            = source.optional_number("beta", 1e-4, 100).value_or(settings.beta);
    settings.label_smoothing = source.optional_number("labelSmoothing", 0, 0.49).value_or(0);
    settings.sft_weight      = source.optional_number("sftWeight", 0, 1e3).value_or(0);
    source.finish();
    return settings;
}

ggml_backend_dev_t device_named(const std::string & id) {
    return id == cpu_device_id ? ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU) : gpu_device(id);
}

}  // namespace

routed_run routed_run_of(const run_settings & how) {
    const adapter_settings & adapter = how.adapter;
    const bool               mixes   = adapter.mixture.experts > 0;
    return { adapter.router.lora_rank > 0 || adapter.whole_router || mixes, mixes, how.objective == train_objective::dpo };
}

pass_devices pass_devices_of(const device_settings & wanted, int threads, int64_t experts) {
    pass_devices  where{ ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU), threads, {}, wanted.activation_bytes, wanted.reserved_bytes };
    const int64_t count  = int64_t(wanted.experts.size());
    if (count > 0 && experts == 0) {
        throw user_error("request.invalid", "This model has no experts to place on devices; leave devices.experts out.", { { "parameter", "devices" } });
    }
    const int64_t usual  = count < 2 ? experts : std::min(experts, (5 * experts + 4 * count - 1) / (4 * count));
    int64_t       slots  = 0;
    for (const expert_device_settings & each : wanted.experts) {
        where.experts.push_back({ device_named(each.device), std::min(experts, each.slots.value_or(usual)), each.bytes });
        slots += where.experts.back().slots;
    }
    if (count > 0 && slots < experts) {
        throw user_error("request.invalid",
                         "The devices have slots for " + std::to_string(slots) + " experts of a layer in all, and the model has " + std::to_string(experts) + ". Give them more slots.",
                         { { "parameter", "devices" }, { "have", slots }, { "need", experts } });
    }
    if (count > int64_t(devices_most)) {
        throw user_error("request.invalid", std::to_string(count) + " devices for experts are more than the " + std::to_string(devices_most) + " that can be used.", { { "parameter", "devices" } });
    }
    return where;
}

run_settings run_settings_of(const json & wanted, bool has_data) {
    parameters   source(wanted, "settings");
    run_settings settings;
    settings.model            = source.string("model", 1);
    settings.data             = has_data ? source.string("data", 1) : source.optional_string("data", 1).value_or("");
    settings.seed             = uint64_t(source.optional_integer("seed", 0, std::numeric_limits<int64_t>::max()).value_or(1));
    settings.adapter          = adapter_of(source.object("adapter"), settings.seed);
    const json * optimiser    = source.optional_object("optimiser");
    settings.optimiser        = optimiser_of(optimiser ? *optimiser : json::object(), settings.b_rate_factor);
    settings.schedule         = schedule_of(source.object("schedule"));
    settings.batch_tokens     = uint64_t(source.optional_integer("batchTokens", 2, 1 << 20).value_or(2048));
    settings.batches_per_step = source.optional_integer("batchesPerStep", 1, 1 << 16).value_or(1);
    settings.clip             = source.optional_number("clip", 0, huge).value_or(settings.optimiser.kind == optimiser_kind::sgd ? 0 : 1);
    const auto losses         = source.optional_choice("weighting", { "tokens", "sequences" }).value_or("tokens");
    settings.weighting        = losses == "tokens" ? target_weighting::tokens : target_weighting::sequences;
    settings.objective        = source.optional_choice("objective", { "next-token", "dpo" }).value_or("next-token") == "dpo" ? train_objective::dpo : train_objective::next_token;
    if (const json * preference = source.optional_object("dpo")) {
        settings.preference = preference_of(*preference);
        if (settings.objective != train_objective::dpo) {
            throw user_error("request.invalid", "settings.dpo is of runs whose objective is \"dpo\". Name that objective, or leave dpo out.", { { "parameter", "settings.dpo" } });
        }
    }
    settings.threads          = threads_of(source);
    settings.router_losses.balance = settings.adapter.mixture.experts > 0 ? mixture_balance : 0;
    if (const json * factors = source.optional_object("routerLosses")) {
        parameters of(*factors, "settings.routerLosses");
        settings.router_losses.balance = float(of.optional_number("balance", 0, 1e3).value_or(double(settings.router_losses.balance)));
        settings.router_losses.z       = float(of.optional_number("z", 0, 1e3).value_or(0));
        of.finish();
    }
    settings.routers     = router_settings_of(source);
    const json * devices = source.optional_object("devices");
    settings.devices     = devices ? devices_of(*devices) : device_settings();
    source.finish();
    settings.schedule.step_tokens = int64_t(settings.batch_tokens) * settings.batches_per_step;
    check_schedule(settings.schedule);
    return settings;
}

}  // namespace moebius
