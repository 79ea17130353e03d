#include "cache-choice.h"

#include "rpc/parameters.h"

#include <algorithm>

namespace moebius {

namespace {

constexpr double least_saving = 0.01;  // of the reads of "uniform"

struct halves {
    routing_trace older, newer;
    bool          one_sequence = false;  // both are the whole then
};

// By the order in which sequences began.
halves halves_of(const routing_trace & trace) {
    std::vector<uint32_t> sequences;
    for (const trace_record & record : trace.records) {
        if (std::find(sequences.begin(), sequences.end(), record.sequence) == sequences.end()) {
            sequences.push_back(record.sequence);
        }
    }
    if (sequences.size() < 2) {
        return { trace, trace, true };
    }
    halves     result{ { trace.model, trace.shape, {}, true }, { trace.model, trace.shape, {}, true }, false };
    const auto middle = sequences.begin() + ptrdiff_t(sequences.size() / 2);
    for (const trace_record & record : trace.records) {
        const bool older = std::find(sequences.begin(), middle, record.sequence) != middle;
        (older ? result.older : result.newer).records.push_back(record);
    }
    return result;
}

bool reads_less(const policy_choice & a, const policy_choice & b) {
    const uint64_t reads_a = a.result.all.reads(), reads_b = b.result.all.reads();
    return reads_a != reads_b ? reads_a < reads_b : a.name == "lru" && b.name != "lru";
}

std::vector<policy_choice> try_policies(const replay_batches & batches, const choice_settings & settings, replay_settings replayed) {
    replayed.slots = allocate_slots(batches, replayed, "uniform", settings.budget);
    std::vector<policy_choice> tried;
    for (const std::string & name : cache_policy_names()) {
        replayed.policy = name;
        tried.push_back({ name, replay(batches, replayed) });
    }
    return tried;
}

void choose_slots(const halves & parts, const choice_settings & settings, replay_settings replayed, cache_choice & choice) {
    const replay_batches older(parts.older, settings.prompt_batch), newer(parts.newer, settings.prompt_batch);
    const bool           open = settings.allocation == "auto";
    for (const std::string & name : allocation_names()) {
        const bool wanted = name == "uniform" || (open ? !parts.one_sequence : name == settings.allocation);
        if (!wanted) {
            continue;
        }
        replayed.slots              = allocate_slots(older, replayed, name, settings.budget);
        const replay_figures result = replay(newer, replayed).all;
        if (name == "uniform") {
            choice.uniform = result;
        }
        const double most = (1.0 - least_saving) * double(choice.uniform.reads());
        if (name == "uniform" || !open || (double(result.reads()) <= most && result.reads() < choice.figures.reads())) {
            choice.allocation = name;
            choice.slots      = replayed.slots;
            choice.figures    = result;
        }
    }
}

json tried_to_json(const policy_choice & tried) {
    return { { "policy", tried.name }, { "hitRate", tried.result.all.hit_rate() }, { "readsPerToken", tried.result.bytes_per_token(1.0) } };
}

std::vector<std::string> with_auto(std::vector<std::string> names) {
    names.push_back("auto");
    return names;
}

}  // namespace

cache_choice choose_cache(const routing_trace & trace, const choice_settings & settings) {
    const replay_batches batches(trace, settings.prompt_batch);
    replay_settings      replayed;
    replayed.check = settings.check;
    cache_choice choice;
    choice.tried    = try_policies(batches, settings, replayed);
    choice.policy   = settings.policy == "auto" ? std::min_element(choice.tried.begin(), choice.tried.end(), reads_less)->name : settings.policy;
    replayed.policy = choice.policy;
    choose_slots(halves_of(trace), settings, replayed, choice);
    return choice;
}

json choice_report(const json & params, const std::function<void()> & check) {
    parameters      source(params);
    choice_settings settings;
    const std::string path = source.string("path", 1);
    settings.budget        = uint64_t(source.integer("totalSlots", 1, int64_t(trace_experts_limit) * trace_layers_limit));
    settings.prompt_batch  = uint32_t(source.optional_integer("promptBatch", 1, 16384).value_or(settings.prompt_batch));
    settings.policy        = source.optional_choice("policy", with_auto(cache_policy_names())).value_or(settings.policy);
    settings.allocation    = source.optional_choice("slotAllocation", with_auto(allocation_names())).value_or(settings.allocation);
    settings.check         = check;
    source.finish();
    const routing_trace trace = trace_read(path);
    if (trace.tokens() == 0 || trace.shape.empty() || trace.shape.expert_used_count == 0) {
        throw user_error("request.invalid", "The trace " + path + " holds no routing. Record one with a MoE model.", { { "path", path } });
    }
    const cache_choice choice = choose_cache(trace, settings);
    json               tried  = json::array();
    std::transform(choice.tried.begin(), choice.tried.end(), std::back_inserter(tried), tried_to_json);
    return {
        { "policy", choice.policy },
        { "slotAllocation", choice.allocation },
        { "slots", choice.slots },
        { "tokens", trace.tokens() },
        { "hitRate", choice.figures.hit_rate() },
        { "uniformHitRate", choice.uniform.hit_rate() },
        { "policies", std::move(tried) },
    };
}

}  // namespace moebius
