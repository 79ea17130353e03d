// Vocabulary: what llama-vocab.cpp asserts, and what would make it use memory without bound.
#include "gguf-check.h"
#include "gguf-part.h"
#include "utf8.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <unordered_set>

namespace moebius {

// a token's text travels with a 16-bit length
constexpr uint64_t MAX_TOKEN_BYTES = 32767;
// llama.cpp repeats a BPE token's whole text for every character of it that is not byte-encoded
constexpr uint64_t MAX_SQUARED_TOKEN_BYTES = 1ull << 30;
constexpr uint32_t NO_TOKEN                = 0xFFFFFFFF;

[[noreturn]] static void fail_tokenizer(const gguf_model & model, const std::string & key, const std::string & message) {
    gguf_fail("file.corrupt", model.files.front(), "'" + key + "' " + message, { { "key", key } });
}

static const gguf_value * find_array(const gguf_model & model, const char * key, gguf_type type, uint64_t least) {
    const gguf_value * value = model.find(key);
    if (value == nullptr) {
        return nullptr;
    }
    if (!value->array || value->type != type) {
        fail_tokenizer(model, key, std::string("is not an array of ") + gguf_type_name(type));
    }
    if (value->count < least) {
        fail_tokenizer(model, key, "has " + std::to_string(value->count) + " elements for a vocabulary of " + std::to_string(least));
    }
    return value;
}

// llama.cpp asserts that all texts differ. It reads them up to a zero byte and names empty ones [EMPTY_<id>].
static void check_tokens(const gguf_model & model, const gguf_value & tokens) {
    std::unordered_set<std::string_view> seen;
    std::vector<std::string>             replaced;
    seen.reserve(size_t(tokens.count));
    replaced.reserve(size_t(std::count_if(tokens.strings.begin(), tokens.strings.end(),
                                          [](const std::string & text) { return text.c_str()[0] == '\0'; })));
    uint64_t squared = 0;
    for (uint64_t id = 0; id < tokens.count; ++id) {
        std::string_view text(tokens.strings[id].c_str());
        if (text.empty()) {
            text = replaced.emplace_back("[EMPTY_" + std::to_string(id) + "]");
        }
        if (tokens.strings[id].size() > MAX_TOKEN_BYTES) {
            fail_tokenizer(model, "tokenizer.ggml.tokens", "has a token " + std::to_string(id) + " of " + std::to_string(tokens.strings[id].size()) +
                 " bytes; the limit is " + std::to_string(MAX_TOKEN_BYTES));
        }
        squared += text.size() * text.size();
        if (!seen.insert(text).second) {
            fail_tokenizer(model, "tokenizer.ggml.tokens", "has the text '" + utf8_quote(std::string(text)) + "' twice, again as token " +
                 std::to_string(id));
        }
    }
    if (squared > MAX_SQUARED_TOKEN_BYTES) {
        fail_tokenizer(model, "tokenizer.ggml.tokens", "has too many long tokens: their squared lengths add up to " + std::to_string(squared));
    }
}

// SentencePiece spells what no token covers in bytes and throws where one has no token.
static void check_bytes(const gguf_model & model, const gguf_value & tokens) {
    std::vector<bool> found(256, false);
    for (const std::string & token : tokens.strings) {
        const std::string text = token.c_str();
        if (text.size() == 1) {
            found[uint8_t(text[0])] = true;
        } else if (text.size() == 6 && text.compare(0, 3, "<0x") == 0 && text[5] == '>') {
            const char * hex  = "0123456789ABCDEF";
            const char * high = std::strchr(hex, text[3]);
            const char * low  = std::strchr(hex, text[4]);
            if (high != nullptr && low != nullptr) {
                found[size_t(high - hex) * 16 + size_t(low - hex)] = true;
            }
        }
    }
    const auto missing = std::find(found.begin(), found.end(), false);
    if (missing != found.end()) {
        fail_tokenizer(model, "tokenizer.ggml.tokens", "has no token for " + std::to_string(std::count(found.begin(), found.end(), false)) +
             " of the 256 byte values, the first of them " + std::to_string(missing - found.begin()) + ", which a 'llama' tokenizer needs");
    }
}

static void check_merges(const gguf_model & model) {
    const gguf_value * merges = find_array(model, "tokenizer.ggml.merges", GGUF_TYPE_STRING, 0);
    for (uint64_t i = 0; merges != nullptr && i < merges->count; ++i) {
        const std::string & text  = merges->strings[i];
        const size_t        space = text.empty() ? std::string::npos : text.find(' ', 1);
        if (space == std::string::npos) {
            fail_tokenizer(model, "tokenizer.ggml.merges", "has rule " + std::to_string(i) + ", '" + utf8_quote(text) +
                 "', which is not two texts with a space between");
        }
    }
}

// The id under `key`, or `fallback` where llama.cpp would take its default.
static uint32_t check_special(const gguf_model & model, const std::string & key, uint64_t vocabulary, uint32_t fallback) {
    const gguf_value * value = model.find(key);
    if (value == nullptr) {
        return fallback < vocabulary ? fallback : NO_TOKEN;
    }
    if (value->array || value->type != GGUF_TYPE_UINT32) {
        fail_tokenizer(model, key, "is not an unsigned 32-bit number");
    }
    const auto id = uint32_t(*value->integer());
    if (id == NO_TOKEN) {  // written by converters for "none"; llama.cpp keeps its default
        return fallback < vocabulary ? fallback : NO_TOKEN;
    }
    if (id >= vocabulary) {
        fail_tokenizer(model, key, "is token " + std::to_string(id) + " of a vocabulary of " + std::to_string(vocabulary));
    }
    return id;
}

static std::optional<bool> find_flag(const gguf_model & model, const std::string & key) {
    const gguf_value * value = model.find(key);
    if (value == nullptr) {
        return std::nullopt;
    }
    if (value->array || value->type != GGUF_TYPE_BOOL) {
        fail_tokenizer(model, key, "is not true or false");
    }
    return *value->integer() != 0;
}

struct special_defaults {
    uint32_t begin, end, separator;
    bool     add_begin, add_end;
};

static special_defaults defaults_of(const std::string & tokenizer) {
    if (tokenizer == "llama") {
        return { 1, 2, NO_TOKEN, true, false };
    }
    if (tokenizer == "bert") {
        return { 101, NO_TOKEN, 102, true, false };
    }
    if (tokenizer == "t5") {
        return { NO_TOKEN, 1, NO_TOKEN, false, true };
    }
    if (tokenizer == "plamo2") {
        return { 1, 2, NO_TOKEN, false, false };
    }
    if (tokenizer == "gpt2" || tokenizer == "hybriddna" || tokenizer == "whitespace") {
        // some pre-tokenizers switch these on, so a vocabulary without them is refused unless the file says no
        return { 11, 11, NO_TOKEN, true, true };
    }
    return { NO_TOKEN, NO_TOKEN, NO_TOKEN, tokenizer == "gemma4", false };
}

static void check_special_tokens(const gguf_model & model, const std::string & tokenizer, uint64_t vocabulary) {
    const std::string      prefix    = "tokenizer.ggml.";
    const special_defaults defaults  = defaults_of(tokenizer);
    const uint32_t         begin     = check_special(model, prefix + "bos_token_id", vocabulary, defaults.begin);
    const uint32_t         end       = check_special(model, prefix + "eos_token_id", vocabulary, defaults.end);
    const uint32_t         separator = check_special(model, prefix + "seperator_token_id", vocabulary, defaults.separator);
    for (const char * name : { "eot", "eom", "unknown", "padding", "mask", "fim_pre", "fim_suf", "fim_mid", "fim_pad", "fim_rep",
                               "fim_sep", "prefix", "suffix", "middle", "cls" }) {
        check_special(model, prefix + name + "_token_id", vocabulary, NO_TOKEN);
    }
    find_flag(model, prefix + "add_space_prefix");
    find_flag(model, prefix + "remove_extra_whitespaces");
    const bool add_begin = find_flag(model, prefix + "add_bos_token").value_or(defaults.add_begin) || tokenizer == "gemma4";
    if (add_begin && begin == NO_TOKEN) {
        fail_tokenizer(model, prefix + "add_bos_token", "asks for a beginning-of-sequence token, but the vocabulary has none");
    }
    if (find_flag(model, prefix + "add_eos_token").value_or(defaults.add_end) && end == NO_TOKEN) {
        fail_tokenizer(model, prefix + "add_eos_token", "asks for an end-of-sequence token, but the vocabulary has none");
    }
    if ((find_flag(model, prefix + "add_sep_token").value_or(false) || tokenizer == "bert") && separator == NO_TOKEN) {
        fail_tokenizer(model, prefix + "add_sep_token", "asks for a separator token, but the vocabulary has none");
    }
}

// Unigram's compiled normalisation: an index of 32-bit words, then replacement texts
static void check_charsmap(const gguf_model & model) {
    const gguf_value * map = model.find("tokenizer.ggml.precompiled_charsmap");
    if (map == nullptr) {
        return;
    }
    uint32_t index_bytes = 0;
    if (map->array && gguf_element_bytes(map->type) == 1 && map->bytes.size() >= 4) {
        std::memcpy(&index_bytes, map->bytes.data(), 4);
    }
    // the trie is walked without bounds, so its size has to be whole words and the texts end with a zero
    if (index_bytes == 0 || index_bytes % 4 != 0 || uint64_t(index_bytes) + 4 >= map->bytes.size() || map->bytes.back() != 0) {
        fail_tokenizer(model, "tokenizer.ggml.precompiled_charsmap", "is not a normalisation table");
    }
}

void gguf_check_tokenizer(const gguf_model & model) {
    const gguf_value * kind = model.find("tokenizer.ggml.model");
    const auto *       name = kind != nullptr && !kind->array ? kind->text() : nullptr;
    if (name == nullptr) {
        fail_tokenizer(model, "tokenizer.ggml.model", "is missing or not a text");
    }
    if (*name == "none" || *name == "no_vocab" || *name == "test") {
        gguf_fail("model.unsupported", model.files.front(), "the model has no tokenizer, so it cannot read or write text");
    }
    const gguf_value * tokens = find_array(model, "tokenizer.ggml.tokens", GGUF_TYPE_STRING, 1);
    if (tokens == nullptr) {
        fail_tokenizer(model, "tokenizer.ggml.tokens", "is missing");
    }
    const gguf_value * scores = model.find("tokenizer.ggml.scores");
    if (scores != nullptr) {
        find_array(model, "tokenizer.ggml.scores", scores->type == GGUF_TYPE_INT32 ? GGUF_TYPE_INT32 : GGUF_TYPE_FLOAT32, tokens->count);
    }
    find_array(model, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, tokens->count);
    find_array(model, "tokenizer.ggml.suppress_tokens", GGUF_TYPE_INT32, 0);
    check_tokens(model, *tokens);
    if (*name == "llama") {
        check_bytes(model, *tokens);
    }
    check_merges(model);
    check_charsmap(model);
    check_special_tokens(model, *name, tokens->count);
}

}  // namespace moebius
