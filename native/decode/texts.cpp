#include "texts.h"

#include "example.h"

#include <common.h>  // libllama-common

namespace moebius {

json model_texts::render_chat(const json & chat) {
    const common_chat_params rendered = templates.render(parse_chat(chat));
    return {
        { "prompt", rendered.prompt },
        { "tokenCount", common_tokenize(vocab, rendered.prompt, true, true).size() },
        { "stop", rendered.additional_stops },
    };
}

json model_texts::encode_examples(const json & examples, bool with_tokens) {
    return moebius::encode_examples(templates, vocab, examples, with_tokens);
}

}  // namespace moebius
