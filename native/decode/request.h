// GenerateParameters and the parameters of model.logits of main/engine/protocol.ts, read strictly.
#pragma once

#include "adapters.h"
#include "chat.h"
#include "rpc/errors.h"

#include <llama.h>
#include <sampling.h>  // common_params_sampling

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace moebius {

enum class overflow_mode { stop, error, shift };

struct generate_request {
    json                       id;  // of the JSON-RPC request
    uint32_t                   generation = 0;
    std::optional<std::string> prompt;
    std::optional<llama_tokens> tokens;
    std::optional<chat_request> chat;
    common_params_sampling     sampling;
    std::string                grammar;      // the user's GBNF
    std::string                json_schema;  // its text
    uint32_t                   max_tokens = UINT32_MAX;
    std::vector<std::string>   stop;
    std::optional<uint32_t>    logprobs;  // alternatives per token
    overflow_mode              overflow = overflow_mode::stop;
    uint32_t                   keep     = 0;
    bool                       routes   = false;
    std::string                cache_key;
    bool                       cache_prompt             = true;
    bool                       ignore_end_of_generation = false;
    std::string                progress_token;
    std::vector<asked_adapter> asked_adapters;
    adapter_set                adapters;  // what the decoder's table has of them
};

struct logits_request {
    json         id;
    uint32_t     generation = 0;
    llama_tokens tokens;
    bool         all      = false;
    bool         logprobs = false;  // of the tokens themselves, instead of logits
    std::vector<asked_adapter> asked_adapters;
    adapter_set                adapters;
};

// Throw user_error (request.invalid, sampling.invalid, grammar.invalid).
generate_request parse_generate(const json & id, const json & values);
logits_request   parse_logits(const json & id, const json & values);

}  // namespace moebius
