// What constrains or ends a reply beyond the sampler's numbers: grammar, JSON schema, the template's tool-call grammar.
#pragma once

#include "chat.h"
#include "request.h"


namespace moebius {

// Refuses (grammar.invalid) a schema that is too large or nested too deep to be worked on; empty is fine.
void check_schema(const std::string & schema);

// Completes request.sampling (grammar, lazy triggers, thinking tags, -1 lengths) and request.stop (the template's stops).
// rendered: the chat prompt, or nullptr. Throws user_error (grammar.invalid, request.invalid, template.failed).
void complete_sampling(generate_request & request, const common_chat_params * rendered, const llama_vocab * vocab, uint32_t context_length);

}  // namespace moebius
