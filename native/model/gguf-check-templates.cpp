// Chat templates are programs that llama.cpp's Jinja parser and interpreter handle by recursion: a deep one overflows the stack.
#include "gguf-check.h"
#include "gguf-part.h"
#include "utf8.h"

#include <cctype>

namespace moebius {

constexpr size_t MAX_TEMPLATE_BYTES = 512 * 1024;
constexpr size_t MAX_BRACKET_DEPTH  = 100;   // ( [ {
constexpr size_t MAX_BLOCK_DEPTH    = 100;   // if, for, macro ...
constexpr size_t MAX_TAG_TOKENS     = 4096;  // one {{ }} or {% %}: bounds chains of operators, too
constexpr size_t MAX_BRANCHES       = 1000;  // elif of the whole template: each is nested in the one before

[[noreturn]] static void fail_template(const gguf_model & model, const std::string & key, const std::string & message) {
    gguf_fail("file.corrupt", model.files.front(), "'" + utf8_quote(key) + "' " + message, { { "key", utf8_quote(key) } });
}

// Walks a template once. It need not understand Jinja, only never count less nesting than the parser will meet.
class template_scan {
  public:
    template_scan(const gguf_model & model, const std::string & key, const std::string & text) : model_(model), key_(key), text_(text) {}

    void run() {
        while (at_ + 1 < text_.size()) {
            if (text_[at_] == '{' && text_[at_ + 1] == '#') {
                const size_t end = text_.find("#}", at_ + 2);
                at_              = end == std::string::npos ? text_.size() : end + 2;
            } else if (text_[at_] == '{' && (text_[at_ + 1] == '{' || text_[at_ + 1] == '%')) {
                const char close = text_[at_ + 1] == '{' ? '}' : '%';
                at_ += 2;
                scan_tag(close);
            } else {
                ++at_;
            }
        }
    }

  private:
    void limit(size_t value, size_t most, const char * what) const {
        if (value > most) {
            fail_template(model_, key_, std::string("has more than ") + std::to_string(most) + " " + what + " (byte " + std::to_string(at_) +
                 " of the template)");
        }
    }

    std::string scan_word() {
        const size_t start = at_;
        while (at_ < text_.size() && (std::isalnum(uint8_t(text_[at_])) || text_[at_] == '_')) {
            ++at_;
        }
        return text_.substr(start, at_ - start);
    }

    void scan_text(char quote) {
        for (++at_; at_ < text_.size() && text_[at_] != quote; ++at_) {
            at_ += text_[at_] == '\\';
        }
        ++at_;
    }

    // `assigns`: the tag has an `=`; a `set` without one opens a block
    void count_statement(const std::string & word, bool assigns) {
        if (word == "if" || word == "for" || word == "macro" || word == "call" || word == "filter" || (word == "set" && !assigns)) {
            ++blocks_;
        } else if (word.compare(0, 3, "end") == 0 && blocks_ > 0) {
            --blocks_;
        } else if (word == "elif") {
            ++branches_;
        }
        limit(blocks_, MAX_BLOCK_DEPTH, "nested statements");
        limit(branches_, MAX_BRANCHES, "'elif' branches");
    }

    // from behind the opening of a tag to behind its end
    void scan_tag(char close) {
        size_t      depth   = 0;
        bool        assigns = false;
        std::string statement;
        for (size_t tokens = 0; at_ < text_.size(); ++tokens) {
            limit(tokens, MAX_TAG_TOKENS, "tokens in one tag");
            limit(depth, MAX_BRACKET_DEPTH, "nested brackets");
            const char c = text_[at_];
            if (c == close && at_ + 1 < text_.size() && text_[at_ + 1] == '}' && (close == '%' || depth == 0)) {
                at_ += 2;
                count_statement(statement, assigns);
                return;
            }
            if (std::isalnum(uint8_t(c)) || c == '_') {
                const std::string word = scan_word();
                statement              = close == '%' && statement.empty() ? word : statement;
            } else if (c == '"' || c == '\'') {
                scan_text(c);
            } else {
                assigns = assigns || (depth == 0 && c == '=');
                depth += c == '(' || c == '[' || c == '{';
                depth -= depth > 0 && (c == ')' || c == ']' || c == '}');
                tokens -= tokens > 0 && std::isspace(uint8_t(c));
                ++at_;
            }
        }
    }

    const gguf_model &  model_;
    const std::string & key_;
    const std::string & text_;
    size_t              at_       = 0;
    size_t              blocks_   = 0;
    size_t              branches_ = 0;
};

void gguf_check_templates(const gguf_model & model) {
    const std::string prefix = "tokenizer.chat_template";
    for (const auto & [key, value] : model.metadata) {
        if (key.compare(0, prefix.size(), prefix) != 0 || (key.size() > prefix.size() && key[prefix.size()] != '.')) {
            continue;
        }
        const std::string * text = value.array ? nullptr : value.text();
        if (text == nullptr) {
            fail_template(model, key, "is not a text");
        }
        if (text->size() > MAX_TEMPLATE_BYTES) {
            fail_template(model, key, "is " + std::to_string(text->size()) + " bytes long; the limit is " + std::to_string(MAX_TEMPLATE_BYTES));
        }
        template_scan(model, key, *text).run();
    }
}

}  // namespace moebius
