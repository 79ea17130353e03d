#include "replay-report.h"

#include "consistency.h"
#include "future-policy.h"
#include "replay-sweep.h"
#include "rpc/parameters.h"

#include <cmath>
#include <numeric>

namespace moebius {

namespace {

constexpr uint32_t default_prompt_batch = 512;   // as load options
constexpr double   default_target       = 0.9;   // hit rate
constexpr double   largest_bytes        = 1e12;  // of one expert

struct replay_request {
    std::string                path;
    uint32_t                   prompt_batch = default_prompt_batch;
    std::optional<int64_t>     slots;         // in every layer
    std::optional<double>      slots_factor;  // times the experts that a token uses, in every layer
    std::optional<int64_t>     total_slots;   // of all layers
    std::vector<uint32_t>      layer_slots;   // of each layer
    std::vector<std::string>   policies;
    std::string                allocation;
    std::optional<read_ahead>  ahead;         // most = 0: as many as a token uses
    std::optional<double>      bytes_per_expert;
    double                     target_hit_rate = default_target;
};

std::optional<read_ahead> take_ahead(parameters & source) {
    const json * object = source.optional_object("readAhead");
    if (!object) {
        return std::nullopt;
    }
    parameters own(*object, "readAhead");
    read_ahead ahead;
    ahead.most   = uint32_t(own.optional_integer("most", 1, trace_experts_limit).value_or(0));
    ahead.least  = own.optional_number("least", 0, 1).value_or(ahead.least);
    ahead.margin = own.optional_number("margin", 1, 1000).value_or(ahead.margin);
    own.finish();
    return ahead;
}

replay_request parse(const json & params) {
    parameters     source(params);
    replay_request request;
    request.path             = source.string("path", 1);
    request.prompt_batch     = uint32_t(source.optional_integer("promptBatch", 1, 16384).value_or(default_prompt_batch));
    request.slots            = source.optional_integer("slots", 1, trace_experts_limit);
    request.slots_factor     = source.optional_number("slotsFactor", 0, trace_experts_limit);
    request.total_slots      = source.optional_integer("totalSlots", 1, int64_t(trace_experts_limit) * trace_layers_limit);
    if (const auto each = source.optional_numbers("layerSlots", 1, trace_experts_limit)) {
        request.layer_slots.assign(each->begin(), each->end());
    }
    request.policies         = source.optional_strings("policies").value_or(std::vector<std::string>());
    request.allocation       = source.optional_choice("allocation", allocation_names()).value_or("uniform");
    request.ahead            = take_ahead(source);
    request.bytes_per_expert = source.optional_number("bytesPerExpert", 0, largest_bytes);
    request.target_hit_rate  = source.optional_number("targetHitRate", 0, 1).value_or(default_target);
    source.finish();
    if (int(request.slots.has_value()) + int(request.slots_factor.has_value()) + int(request.total_slots.has_value()) + int(!request.layer_slots.empty()) != 1) {
        source.refuse("slots", "is needed, or slotsFactor, totalSlots or layerSlots; one of them");
    }
    for (const std::string & policy : request.policies) {
        if (!replay_policy_exists(policy)) {
            source.refuse("policies", "must be names of cache policies, belady or lookahead-N; there is no " + policy);
        }
    }
    if (request.policies.empty()) {
        request.policies = cache_policy_names();
        request.policies.insert(request.policies.end(), { "lookahead-1", "belady" });
    }
    return request;
}

uint64_t budget_of(const replay_request & request, const replay_batches & batches) {
    if (!request.layer_slots.empty()) {
        return std::accumulate(request.layer_slots.begin(), request.layer_slots.end(), uint64_t(0));
    }
    if (request.total_slots) {
        return uint64_t(*request.total_slots);
    }
    const double each = request.slots ? double(*request.slots) : std::round(*request.slots_factor * batches.used());
    return uint64_t(std::max(each, 1.0)) * batches.layers();
}

json figures_to_json(const replay_figures & figures) {
    return { { "uses", figures.uses },       { "hits", figures.hits },     { "misses", figures.misses },
             { "prefetched", figures.prefetched }, { "useful", figures.useful }, { "hitRate", figures.hit_rate() } };
}

json result_to_json(const replay_settings & settings, const replay_result & result, const std::optional<double> & bytes_per_expert) {
    json row = figures_to_json(result.all);
    json layers = json::array();
    for (const replay_figures & layer : result.layers) {
        layers.push_back(figures_to_json(layer));
    }
    row["policy"]        = settings.policy;
    row["readAhead"]     = settings.ahead.most;
    row["slots"]         = settings.slots;
    row["readsPerToken"] = result.bytes_per_token(1.0);
    row["bytesPerToken"] = bytes_per_expert ? json(result.bytes_per_token(*bytes_per_expert)) : json(nullptr);
    row["layers"]        = std::move(layers);
    return row;
}

json consistency_to_json(const consistency_report & report) {
    json rows = json::array();
    for (const consistency_row & row : report.rows) {
        rows.push_back({ { "length", row.length }, { "segmentRouting", row.routing }, { "segmentCache", row.cache } });
    }
    return { { "factor", report.factor }, { "segments", std::move(rows) }, { "suitability", report.suitability } };
}

json advice_to_json(const replay_batches & batches, const replay_settings & settings, double target) {
    const slot_advice advice = advise_slots(batches, settings, target);
    json              curve  = json::array();
    for (const slot_point & point : advice.curve) {
        curve.push_back({ { "slots", point.slots }, { "hitRate", point.hit_rate } });
    }
    return { { "policy", settings.policy },
             { "targetHitRate", target },
             { "slots", advice.target ? json(*advice.target) : json(nullptr) },
             { "knee", advice.knee },
             { "curve", std::move(curve) } };
}

// A policy on demand, and once more with reads ahead if it foresees anything.
void add_rows(json & rows, const replay_request & request, const replay_batches & batches, replay_settings settings) {
    settings.slots = request.layer_slots.empty() ? allocate_slots(batches, settings, request.allocation, budget_of(request, batches)) : request.layer_slots;
    rows.push_back(result_to_json(settings, replay(batches, settings), request.bytes_per_expert));
    const std::unique_ptr<cache_policy> policy = replay_policy_make(settings.policy, batches, { batches.layers(), batches.experts(), settings.slots });
    if (!request.ahead || batches.layers() == 0 || policy->foresee(0).empty()) {
        return;
    }
    settings.ahead      = *request.ahead;
    settings.ahead.most = settings.ahead.most == 0 ? batches.used() : settings.ahead.most;
    rows.push_back(result_to_json(settings, replay(batches, settings), request.bytes_per_expert));
}

}  // namespace

json replay_report(const json & params, const std::function<void()> & check) {
    const replay_request request = parse(params);
    const routing_trace  trace   = trace_read(request.path);
    if (trace.tokens() == 0 || trace.shape.empty() || trace.shape.expert_used_count == 0) {
        throw user_error("request.invalid", "The trace " + request.path + " holds no routing. Record one with a MoE model.", { { "path", request.path } });
    }
    const replay_batches batches(trace, request.prompt_batch);
    replay_settings      settings;
    settings.check = check;
    json rows      = json::array();
    for (const std::string & policy : request.policies) {
        settings.policy = policy;
        add_rows(rows, request, batches, settings);
    }
    settings.policy                  = "lru";
    settings.slots                   = allocate_slots(batches, settings, "uniform", budget_of(request, batches));
    settings.policy                  = best_policy(batches, settings).name;
    return {
        { "model", trace.model },
        { "moeLayers", trace.shape.layers },
        { "expertCount", trace.shape.expert_count },
        { "expertUsedCount", trace.shape.expert_used_count },
        { "tokens", trace.tokens() },
        { "batches", batches.count() },
        { "whole", trace.whole },
        { "allocation", request.allocation },
        { "policies", std::move(rows) },
        { "best", settings.policy },
        { "consistency", consistency_to_json(measure_consistency(trace, check)) },
        { "advice", advice_to_json(batches, settings, request.target_hit_rate) },
    };
}

}  // namespace moebius
