#include "tokenise.h"

#include <limits>

namespace moebius {

std::vector<llama_token> tokenise(const llama_vocab * vocabulary, const std::string & text, bool add_special, bool parse_special) {
    constexpr size_t limit = size_t(std::numeric_limits<int32_t>::max());
    if (text.size() >= limit) {
        throw user_error("prompt.too-long",
                         "The text has " + std::to_string(text.size()) + " bytes; at most " + std::to_string(limit - 1) + " can be tokenised.",
                         { { "bytes", text.size() }, { "limit", limit - 1 } });
    }
    std::vector<llama_token> tokens(text.size() / 2 + 16);
    const auto               run = [&] {
        return llama_tokenize(vocabulary, text.data(), int32_t(text.size()), tokens.data(), int32_t(tokens.size()), add_special, parse_special);
    };
    int32_t count = run();
    if (count < 0 && count != std::numeric_limits<int32_t>::min()) {
        tokens.resize(size_t(-count));  // the number there would be
        count = run();
    }
    if (count < 0) {
        throw user_error("prompt.too-long", "The text of " + std::to_string(text.size()) + " bytes has too many tokens.");
    }
    tokens.resize(size_t(count));
    return tokens;
}

std::string detokenise(const llama_vocab * vocabulary, const std::vector<llama_token> & tokens) {
    const int32_t size = llama_vocab_n_tokens(vocabulary);
    for (const llama_token token : tokens) {
        if (token < 0 || token >= size) {
            throw user_error("request.invalid",
                             "Token " + std::to_string(token) + " is not in the vocabulary of " + std::to_string(size) + " tokens.",
                             { { "parameter", "tokens" }, { "token", token }, { "vocabularySize", size } });
        }
    }
    std::string text(tokens.size() * 8 + 16, '\0');
    const auto  run = [&] {
        return llama_detokenize(vocabulary, tokens.data(), int32_t(tokens.size()), text.data(), int32_t(text.size()), false, true);
    };
    int32_t length = run();
    if (length < 0) {
        text.resize(size_t(-length));
        length = run();
    }
    text.resize(size_t(std::max(length, 0)));
    return text;
}

}  // namespace moebius
