// Training examples as the model will see them: their tokens, and which of them are to be learnt.
#pragma once

#include "chat.h"

#include <utility>
#include <vector>

namespace moebius {

struct encoded_example {
    std::vector<llama_token>               tokens;
    std::vector<std::pair<size_t, size_t>> supervised;  // [begin, end) of tokens, ascending, apart from each other
    // a supervised reply has no end-of-generation token: what learns from it will not know where to stop
    bool unended = false;
    // a token begins in the prompt and ends in the reply, so that chat, which tokenises the prompt alone, has others there
    bool crossing = false;
    // the template does not show the tools, or calls of them
    bool hidden = false;
};

// A conversation, whole: the template and the tokens are those that `generate` has for it. replies: indices of the assistant's
// messages to learn, ascending; each becomes the tokens from where chat would begin to generate it to its end-of-generation
// token, both found by rendering the conversation up to it (with the prompt for a reply) and through it (without), which have
// to be how the whole one begins. Throws user_error: template.failed where they are not, as with templates that leave out the
// reasoning of earlier replies, or for a tool call that the template does not show; request.invalid for other indices. Thread-safe.
encoded_example encode_conversation(chat_templates & templates, const llama_vocab * vocabulary, const chat_request & conversation,
                                    const std::vector<int32_t> & replies);

// The result of examples.encode (main/engine/protocol.ts). Throws request.invalid; what is wrong with one example by itself is
// told in its place.
json encode_examples(chat_templates & templates, const llama_vocab * vocabulary, const json & examples, bool with_tokens);

}  // namespace moebius
