#include "example.h"

#include "rpc/parameters.h"

#include <common.h>  // libllama-common

#include <algorithm>

namespace moebius {

namespace {

size_t common_length(const std::vector<llama_token> & a, const std::vector<llama_token> & b) {
    const size_t shorter = std::min(a.size(), b.size());
    return size_t(std::mismatch(a.begin(), a.begin() + ptrdiff_t(shorter), b.begin()).first - a.begin());
}

void refuse_to_learn(int32_t reply, const std::string & why) {
    throw user_error("request.invalid", "Message " + std::to_string(reply + 1) + " cannot be learnt: " + why,
                     { { "parameter", "replies" }, { "reply", reply } });
}

// Where the conversation begins with what the first `count` messages alone give, as tokens of `whole`.
class conversation_encoder {
  public:
    conversation_encoder(chat_templates & templates, const llama_vocab * vocabulary, const chat_request & conversation)
        : templates(templates), vocabulary(vocabulary), conversation(conversation) {
        text         = render(conversation.messages.size(), true);
        whole.tokens = tokens_of(text);
        whole.hidden = hides_something();
    }

    void learn_all() { whole.supervised = { { 0, whole.tokens.size() } }; }

    void learn(int32_t reply) {
        if (reply < 1 || size_t(reply) >= conversation.messages.size() || conversation.messages[size_t(reply)].role != "assistant") {
            refuse_to_learn(reply, "it is not a reply of the assistant.");
        }
        if (!whole.supervised.empty() && reply <= last) {
            refuse_to_learn(reply, "replies have to be in ascending order.");
        }
        last = reply;
        if (!conversation.messages[size_t(reply)].tool_calls.empty() && !templates.shows("supports_tool_calls")) {
            throw user_error("template.failed", "The model's chat template does not show tool calls, so that message " +
                                                    std::to_string(reply + 1) + " would teach it to say nothing.",
                             { { "reply", reply } });
        }
        const size_t begin = begin_of(size_t(reply));
        size_t       end   = end_of(size_t(reply));
        size_t       ended = end;
        while (ended > begin && !llama_vocab_is_eog(vocabulary, whole.tokens[ended - 1])) {
            --ended;
        }
        if (ended > begin) {
            end = ended;
        } else {
            whole.unended = true;
        }
        if (begin < end) {
            whole.supervised.emplace_back(begin, end);
        }
    }

    encoded_example take() { return std::move(whole); }

  private:
    // As `generate` has it, which gives the template's text to common_tokenize with these two.
    std::vector<llama_token> tokens_of(const std::string & prompt) const { return common_tokenize(vocabulary, prompt, true, true); }

    bool hides_something() {
        const auto & messages = conversation.messages;
        const bool   calls    = std::any_of(messages.begin(), messages.end(), [](const auto & message) { return !message.tool_calls.empty(); });
        return (calls && !templates.shows("supports_tool_calls")) || (!conversation.tools.empty() && !templates.shows("supports_tools"));
    }

    // answered: without the prompt for a reply
    std::string render(size_t count, bool answered) {
        chat_request part = conversation;
        part.messages.resize(count);
        part.answered = answered;
        return templates.render_prompt(part);
    }

    std::string beginning(size_t count, bool answered) {
        std::string part = render(count, answered);
        if (text.compare(0, part.size(), part) != 0) {
            throw user_error("template.failed",
                             "The model's chat template renders the first " + std::to_string(count) +
                                 " messages otherwise when more follow, so that there is no telling which tokens are the reply's. "
                                 "Learn the last reply only, or all tokens.",
                             { { "messages", count } });
        }
        return part;
    }

    size_t begin_of(size_t reply) {
        const std::vector<llama_token> prompt = tokens_of(beginning(reply, false));
        const size_t                   common = common_length(prompt, whole.tokens);
        whole.crossing                        = whole.crossing || common < prompt.size();
        return common;
    }

    size_t end_of(size_t reply) {
        if (reply + 1 == conversation.messages.size()) {
            return whole.tokens.size();
        }
        return common_length(tokens_of(beginning(reply + 1, true)), whole.tokens);
    }

    chat_templates &     templates;
    const llama_vocab *  vocabulary;
    const chat_request & conversation;
    std::string          text;
    encoded_example      whole;
    int32_t              last = -1;
};

// All of it is learnt; nothing is added that `generate` does not add to a prompt.
encoded_example encode_text(const llama_vocab * vocabulary, const std::string & text) {
    encoded_example example;
    example.tokens     = common_tokenize(vocabulary, text, true, true);
    example.supervised = { { 0, example.tokens.size() } };
    return example;
}

encoded_example encode(chat_templates & templates, const llama_vocab * vocabulary, parameters & p) {
    const std::optional<std::string> text    = p.optional_string("text");
    const json *                     chat    = p.optional_object("chat");
    const auto                       replies = p.optional_tokens("replies");
    p.finish();
    if (text.has_value() == (chat != nullptr)) {
        p.refuse("text", "must be the only one of text and chat");
    }
    if (text) {
        return encode_text(vocabulary, *text);
    }
    const chat_request conversation = parse_chat(*chat);
    if (replies) {
        return encode_conversation(templates, vocabulary, conversation, *replies);
    }
    conversation_encoder encoder(templates, vocabulary, conversation);
    encoder.learn_all();
    return encoder.take();
}

json to_json(const encoded_example & example, bool with_tokens) {
    size_t learnt = 0;
    json   spans  = json::array();
    for (const auto & [begin, end] : example.supervised) {
        learnt += end - begin;
        spans.push_back({ begin, end });
    }
    json result = { { "tokenCount", example.tokens.size() },
                    { "supervisedCount", learnt },
                    { "supervised", std::move(spans) },
                    { "unended", example.unended },
                    { "crossing", example.crossing },
                    { "hidden", example.hidden } };
    if (with_tokens) {
        result["tokens"] = example.tokens;
    }
    return result;
}

}  // namespace

encoded_example encode_conversation(chat_templates & templates, const llama_vocab * vocabulary, const chat_request & conversation,
                                    const std::vector<int32_t> & replies) {
    conversation_encoder encoder(templates, vocabulary, conversation);
    for (const int32_t reply : replies) {
        encoder.learn(reply);
    }
    return encoder.take();
}

json encode_examples(chat_templates & templates, const llama_vocab * vocabulary, const json & examples, bool with_tokens) {
    json results = json::array();
    for (size_t i = 0; i < examples.size(); ++i) {
        parameters p(examples[i], "examples[" + std::to_string(i) + "]");
        try {
            results.push_back(to_json(encode(templates, vocabulary, p), with_tokens));
        } catch (const user_error & error) {
            results.push_back({ { "error", { { "code", error.code }, { "message", error.what() } } } });
        }
    }
    return { { "examples", std::move(results) } };
}

}  // namespace moebius
