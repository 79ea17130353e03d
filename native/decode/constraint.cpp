#include "constraint.h"

#include <json-schema-to-grammar.h>  // libllama-common

#include <algorithm>

namespace moebius {

namespace {

constexpr size_t grammar_bytes_limit = 262144;
constexpr int    nesting_limit       = 256;  // the parsers of libllama-common recurse

// Deepest nesting of ( ) outside strings and character classes of a GBNF text.
int grammar_nesting(const std::string & grammar) {
    int  depth = 0, deepest = 0;
    char quote = 0;  // the character that ends the literal we are in
    for (size_t i = 0; i < grammar.size(); ++i) {
        const char c = grammar[i];
        if (c == '\\') {
            ++i;
        } else if (quote) {
            quote = c == quote ? 0 : quote;
        } else if (c == '"' || c == '[' || c == '#') {
            quote = c == '[' ? ']' : c == '#' ? '\n' : '"';
        } else if (c == '(') {
            deepest = std::max(deepest, ++depth);
        } else if (c == ')') {
            --depth;
        }
    }
    return deepest;
}

int json_nesting(const json & value) {
    int deepest = 0;
    if (value.is_structured()) {
        for (const json & item : value) {
            deepest = std::max(deepest, 1 + json_nesting(item));
        }
    }
    return deepest;
}

void check_grammar(const std::string & grammar) {
    if (grammar.size() > grammar_bytes_limit) {
        throw user_error("grammar.invalid", "The grammar has " + std::to_string(grammar.size()) + " bytes, at most " +
                                                std::to_string(grammar_bytes_limit) + " are allowed.",
                         { { "bytes", grammar.size() }, { "limit", grammar_bytes_limit } });
    }
    const int nesting = grammar_nesting(grammar);
    if (nesting > nesting_limit) {
        throw user_error("grammar.invalid", "The grammar nests parentheses " + std::to_string(nesting) + " deep, at most " +
                                                std::to_string(nesting_limit) + " are allowed.",
                         { { "nesting", nesting }, { "limit", nesting_limit } });
    }
    if (grammar.compare(0, 1, "%") == 0) {
        throw user_error("grammar.invalid", "The grammar starts with '%': only GBNF is supported, not llguidance.");
    }
}

std::string schema_grammar(const std::string & schema) {
    check_schema(schema);
    try {
        return json_schema_to_grammar(common_json::parse(schema));
    } catch (const std::exception & error) {
        throw user_error("grammar.invalid", std::string("The JSON schema cannot be turned into a grammar: ") + error.what());
    }
}

void add_triggers(common_params_sampling & sampling, const common_chat_params & rendered, const llama_vocab * vocab) {
    for (const std::string & text : rendered.preserved_tokens) {
        const llama_tokens ids = common_tokenize(vocab, text, false, true);
        if (ids.size() == 1) {
            sampling.preserved_tokens.insert(ids[0]);
        }
    }
    for (common_grammar_trigger trigger : rendered.grammar_triggers) {
        const bool word = trigger.type == COMMON_GRAMMAR_TRIGGER_TYPE_WORD;
        const llama_tokens ids = word ? common_tokenize(vocab, trigger.value, false, true) : llama_tokens();
        if (ids.size() == 1 && sampling.preserved_tokens.count(ids[0])) {
            trigger.type  = COMMON_GRAMMAR_TRIGGER_TYPE_TOKEN;
            trigger.token = ids[0];
        }
        sampling.grammar_triggers.push_back(std::move(trigger));
    }
}

// Lets a lazy tool-call grammar wait until the model has ended its thinking.
void add_thinking_tags(common_params_sampling & sampling, const common_chat_params & rendered, const llama_vocab * vocab) {
    if (rendered.thinking_start_tag.empty() || rendered.thinking_end_tags.empty()) {
        return;
    }
    sampling.reasoning_budget_start = common_tokenize(vocab, rendered.thinking_start_tag, false, true);
    for (const std::string & tag : rendered.thinking_end_tags) {
        if (!tag.empty()) {
            sampling.reasoning_budget_end.push_back(common_tokenize(vocab, tag, false, true));
        }
    }
    if (!sampling.reasoning_budget_end.empty()) {
        sampling.reasoning_budget_forced = sampling.reasoning_budget_end.front();
    }
}

void follow_template(generate_request & request, const common_chat_params & rendered, const llama_vocab * vocab) {
    common_params_sampling & sampling = request.sampling;
    request.stop.insert(request.stop.end(), rendered.additional_stops.begin(), rendered.additional_stops.end());
    add_triggers(sampling, rendered, vocab);
    if (request.grammar.empty() && !rendered.grammar.empty()) {
        sampling.grammar           = { COMMON_GRAMMAR_TYPE_TOOL_CALLS, rendered.grammar };
        sampling.grammar_lazy      = rendered.grammar_lazy && !sampling.grammar_triggers.empty();
        sampling.generation_prompt = rendered.generation_prompt;
        add_thinking_tags(sampling, rendered, vocab);
    }
}

}  // namespace

void check_schema(const std::string & schema) {
    const int nesting = schema.empty() ? 0 : json_nesting(json::parse(schema));
    if (schema.size() > grammar_bytes_limit || nesting > nesting_limit) {
        throw user_error("grammar.invalid",
                         "The JSON schema has " + std::to_string(schema.size()) + " bytes, nested " + std::to_string(nesting) + " deep; at most " +
                             std::to_string(grammar_bytes_limit) + " bytes and " + std::to_string(nesting_limit) + " levels are allowed.",
                         { { "bytes", schema.size() }, { "nesting", nesting } });
    }
}

void complete_sampling(generate_request & request, const common_chat_params * rendered, const llama_vocab * vocab, uint32_t context_length) {
    common_params_sampling & sampling = request.sampling;
    const int32_t            length   = int32_t(context_length);
    sampling.penalty_last_n     = sampling.penalty_last_n < 0 ? length : std::min(sampling.penalty_last_n, length);
    sampling.dry_penalty_last_n = sampling.dry_penalty_last_n < 0 ? length : std::min(sampling.dry_penalty_last_n, length);
    for (const llama_logit_bias & bias : sampling.logit_bias) {
        if (bias.token >= llama_vocab_n_tokens(vocab)) {
            throw user_error("sampling.invalid", "logitBias names token " + std::to_string(bias.token) + ", the vocabulary ends at " +
                                                     std::to_string(llama_vocab_n_tokens(vocab) - 1) + ".");
        }
    }
    if (request.chat && request.chat->uses_tools() && !request.grammar.empty()) {
        throw user_error("request.invalid", "Parameter 'sampling.grammar' cannot be used together with tools.",
                         { { "parameter", "sampling.grammar" } });
    }
    if (rendered) {
        follow_template(request, *rendered, vocab);
    }
    if (!request.grammar.empty()) {
        check_grammar(request.grammar);
        sampling.grammar = { COMMON_GRAMMAR_TYPE_USER, request.grammar };
    } else if (!request.json_schema.empty() && sampling.grammar.empty()) {
        sampling.grammar = { COMMON_GRAMMAR_TYPE_USER, schema_grammar(request.json_schema) };
    }
}

}  // namespace moebius
