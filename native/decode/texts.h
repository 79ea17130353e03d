// What a model does with texts and needs no weights for: its vocabulary and its chat templates.
#pragma once

#include "chat.h"

namespace moebius {

// Thread-safe. `model` must outlive it; one that was opened for its vocabulary alone will do.
class model_texts {
  public:
    explicit model_texts(const llama_model * model) : templates(model), vocab(llama_model_get_vocab(model)) {}

    // The result of chat.render. Throws user_error (request.invalid, template.failed).
    json render_chat(const json & chat);

    // The result of examples.encode. Throws user_error (request.invalid).
    json encode_examples(const json & examples, bool with_tokens);

    const llama_vocab * vocabulary() const { return vocab; }

    chat_templates templates;

  private:
    const llama_vocab * vocab;
};

}  // namespace moebius
