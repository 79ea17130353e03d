#include "request.h"

#include "rpc/parameters.h"

#include <limits>
#include <set>

namespace moebius {

namespace {

constexpr int64_t any_count        = std::numeric_limits<int32_t>::max();
constexpr size_t  stop_limit       = 64;
constexpr size_t  stop_bytes_limit = 4096;
constexpr size_t  adapters_most    = 16;   // on at once
constexpr double  scale_most       = 100;

template <typename T, typename V>
void set(T & field, const std::optional<V> & value) {
    if (value) {
        field = T(*value);
    }
}

void parse_logit_bias(parameters & p, common_params_sampling & sampling) {
    const json * list = p.optional_array("logitBias");
    if (!list) {
        return;
    }
    for (size_t i = 0; i < list->size(); ++i) {
        parameters       entry((*list)[i], "sampling.logitBias[" + std::to_string(i) + "]");
        llama_logit_bias bias{};
        bias.token      = llama_token(entry.integer("token", 0, any_count));
        const auto by   = entry.optional_number("bias", -1e9, 1e9);
        if (!by) {
            entry.refuse("bias", "is missing");
        }
        bias.bias = float(*by);
        entry.finish();
        sampling.logit_bias.push_back(bias);
    }
}

void parse_sampling(const json & values, generate_request & request) {
    parameters               p(values, "sampling");
    common_params_sampling & s = request.sampling;
    set(s.seed, p.optional_integer("seed", 0, UINT32_MAX));
    set(s.temp, p.optional_number("temperature", 0, 10));
    set(s.top_k, p.optional_integer("topK", 0, any_count));
    set(s.top_p, p.optional_number("topP", 0, 1));
    set(s.min_p, p.optional_number("minP", 0, 1));
    set(s.typ_p, p.optional_number("typicalP", 0, 1));
    set(s.penalty_repeat, p.optional_number("repeatPenalty", 0, 10));
    set(s.penalty_last_n, p.optional_integer("repeatLastN", -1, any_count));
    set(s.penalty_present, p.optional_number("presencePenalty", -2, 2));
    set(s.penalty_freq, p.optional_number("frequencyPenalty", -2, 2));
    set(s.dry_multiplier, p.optional_number("dryMultiplier", 0, 100));
    set(s.dry_base, p.optional_number("dryBase", 1, 100));
    set(s.dry_allowed_length, p.optional_integer("dryAllowedLength", 0, any_count));
    set(s.dry_penalty_last_n, p.optional_integer("dryPenaltyLastN", -1, any_count));
    set(s.dry_sequence_breakers, p.optional_strings("drySequenceBreakers"));
    set(s.mirostat, p.optional_integer("mirostat", 0, 2));
    set(s.mirostat_tau, p.optional_number("mirostatTau", 0, 20));
    set(s.mirostat_eta, p.optional_number("mirostatEta", 0, 1));
    parse_logit_bias(p, s);
    request.grammar = p.optional_string("grammar").value_or("");
    if (const json * schema = p.optional_object("jsonSchema")) {
        request.json_schema = schema->dump();
    }
    if (!request.grammar.empty() && !request.json_schema.empty()) {
        p.refuse("grammar", "cannot be given together with jsonSchema");
    }
    p.finish();
}

void parse_input(parameters & p, generate_request & request) {
    request.prompt = p.optional_string("prompt");
    request.tokens = p.optional_tokens("tokens");
    if (const json * chat = p.optional_object("chat")) {
        request.chat = parse_chat(*chat);
    }
    if (int(request.prompt.has_value()) + int(request.tokens.has_value()) + int(request.chat.has_value()) != 1) {
        p.refuse("prompt", "must be the only one of prompt, tokens and chat");
    }
}

void parse_stop(parameters & p, generate_request & request) {
    const auto stop = p.optional_strings("stop");
    if (!stop) {
        return;
    }
    if (stop->size() > stop_limit) {
        p.refuse("stop", "has " + std::to_string(stop->size()) + " strings, at most " + std::to_string(stop_limit) + " are allowed");
    }
    for (const std::string & text : *stop) {
        if (text.empty() || text.size() > stop_bytes_limit) {
            p.refuse("stop", "must hold strings of 1 to " + std::to_string(stop_bytes_limit) + " bytes");
        }
    }
    request.stop = *stop;
}

std::vector<asked_adapter> parse_adapters(parameters & p) {
    const json *               list = p.optional_array("adapters");
    std::vector<asked_adapter> asked;
    std::set<int32_t>          seen;
    if (list && list->size() > adapters_most) {
        p.refuse("adapters", "has " + std::to_string(list->size()) + " entries, at most " + std::to_string(adapters_most) + " can be on at once");
    }
    for (size_t i = 0; list && i < list->size(); ++i) {
        parameters    entry((*list)[i], "adapters[" + std::to_string(i) + "]");
        asked_adapter one;
        one.id    = int32_t(entry.integer("adapter", 1, any_count));
        one.scale = float(entry.optional_number("scale", -scale_most, scale_most).value_or(1));
        entry.finish();
        if (!seen.insert(one.id).second) {
            p.refuse("adapters", "names adapter " + std::to_string(one.id) + " twice");
        }
        asked.push_back(one);
    }
    return asked;
}

overflow_mode parse_overflow(parameters & p) {
    const std::string mode = p.optional_choice("overflow", { "error", "stop", "shift" }).value_or("stop");
    return mode == "error" ? overflow_mode::error : mode == "shift" ? overflow_mode::shift : overflow_mode::stop;
}

}  // namespace

generate_request parse_generate(const json & id, const json & values) {
    parameters       p(values);
    generate_request request;
    request.id         = id;
    request.generation = uint32_t(p.integer("generation", 1, UINT32_MAX));
    p.integer("model", std::numeric_limits<int32_t>::min(), any_count);  // the caller found us by it
    parse_input(p, request);
    if (const json * sampling = p.optional_object("sampling")) {
        parse_sampling(*sampling, request);
    }
    set(request.max_tokens, p.optional_integer("maxTokens", 0, UINT32_MAX));
    parse_stop(p, request);
    request.logprobs = p.optional_integer("logprobs", 0, 64);
    request.overflow = parse_overflow(p);
    set(request.keep, p.optional_integer("keep", 0, any_count));
    set(request.routes, p.optional_boolean("routes"));
    set(request.cache_key, p.optional_string("cacheKey"));
    set(request.cache_prompt, p.optional_boolean("cachePrompt"));
    set(request.ignore_end_of_generation, p.optional_boolean("ignoreEndOfGeneration"));
    set(request.progress_token, p.optional_string("progressToken"));
    request.asked_adapters = parse_adapters(p);
    p.finish();
    return request;
}

logits_request parse_logits(const json & id, const json & values) {
    parameters     p(values);
    logits_request request;
    request.id         = id;
    request.generation = uint32_t(p.integer("generation", 1, UINT32_MAX));
    p.integer("model", std::numeric_limits<int32_t>::min(), any_count);
    const auto tokens = p.optional_tokens("tokens");
    if (!tokens || tokens->empty()) {
        p.refuse("tokens", "must be an array of at least one token id");
    }
    request.tokens   = *tokens;
    request.logprobs = p.optional_boolean("logprobs").value_or(false);
    request.all      = p.optional_boolean("all").value_or(request.logprobs);
    if (request.logprobs && !request.all) {
        p.refuse("all", "cannot be false with logprobs, which are of all tokens");
    }
    request.asked_adapters = parse_adapters(p);
    p.finish();
    return request;
}

}  // namespace moebius
