// Training examples: the tokens that chat has for the same conversation, and which of them are learnt.
#include "check.h"
#include "decode-harness.h"
#include "model-copy.h"

#include "decode/example.h"
#include "model/tokenise.h"

#include <filesystem>

using namespace moebius_test;

namespace {

json message(const char * role, const std::string & content) {
    return { { "role", role }, { "content", content } };
}

json encode(tiny_engine & tiny, const json & example) {
    return tiny.texts.encode_examples(json::array({ example }), true)["examples"][0];
}

std::vector<llama_token> tokens_of(const json & encoded) {
    return encoded["tokens"].get<std::vector<llama_token>>();
}

// the text of the supervised spans
std::vector<std::string> learnt(tiny_engine & tiny, const json & encoded) {
    const std::vector<llama_token> tokens = tokens_of(encoded);
    std::vector<std::string>       texts;
    for (const json & span : encoded["supervised"]) {
        const std::vector<llama_token> part(tokens.begin() + span[0].get<int>(), tokens.begin() + span[1].get<int>());
        texts.push_back(moebius::detokenise(llama_model_get_vocab(tiny.model.get()), part));
    }
    return texts;
}

const json two_turns = json::array({ message("user", "What is a dwarf?"), message("assistant", "A small person."), message("user", "And a giant?"),
                                     message("assistant", "A big one.") });

void check_replies(tiny_engine & tiny) {
    const json encoded = encode(tiny, { { "chat", { { "messages", two_turns } } }, { "replies", { 1, 3 } } });
    const auto texts   = learnt(tiny, encoded);
    CHECK_EQUAL(texts.size(), 2u);
    CHECK_EQUAL(texts.at(0), "A small person.<|im_end|>");
    CHECK_EQUAL(texts.at(1), "A big one.<|im_end|>");
    CHECK_EQUAL(encoded["unended"].get<bool>(), false);
    CHECK_EQUAL(encoded["crossing"].get<bool>(), false);
    CHECK_EQUAL(encoded["tokenCount"].get<size_t>(), tokens_of(encoded).size());
    const std::string whole = moebius::detokenise(llama_model_get_vocab(tiny.model.get()), tokens_of(encoded));
    CHECK_EQUAL(whole, "<|im_start|>user\nWhat is a dwarf?<|im_end|>\n<|im_start|>assistant\nA small person.<|im_end|>\n"
                       "<|im_start|>user\nAnd a giant?<|im_end|>\n<|im_start|>assistant\nA big one.<|im_end|>\n");
}

// What is before a reply is what `generate` is given, token by token.
void check_prompt_of_chat(tiny_engine & tiny) {
    const json encoded = encode(tiny, { { "chat", { { "messages", two_turns } } }, { "replies", { 3 } } });
    json       prompt  = two_turns;
    prompt.erase(3);
    const json rendered = tiny.texts.render_chat({ { "messages", prompt } });
    const auto expected = moebius::tokenise(llama_model_get_vocab(tiny.model.get()), rendered["prompt"].get<std::string>(), true, true);
    const auto tokens   = tokens_of(encoded);
    const auto begin    = encoded["supervised"][0][0].get<size_t>();
    CHECK_EQUAL(begin, expected.size());
    CHECK(std::equal(expected.begin(), expected.end(), tokens.begin()));
    CHECK_EQUAL(rendered["tokenCount"].get<size_t>(), begin);
}

void check_everything(tiny_engine & tiny) {
    const json chat = encode(tiny, { { "chat", { { "messages", two_turns } } } });
    CHECK_EQUAL(chat["supervisedCount"].get<int>(), chat["tokenCount"].get<int>());
    const json text = encode(tiny, { { "text", "In the beginning" } });
    CHECK(tokens_of(text) == moebius::tokenise(llama_model_get_vocab(tiny.model.get()), "In the beginning", true, true));
    CHECK_EQUAL(text["supervisedCount"].get<int>(), text["tokenCount"].get<int>());
}

void check_refusals(tiny_engine & tiny) {
    const auto code = [&](const json & example) { return encode(tiny, example).value("error", json::object()).value("code", std::string()); };
    for (const json & replies : { json{ 0 }, json{ 2 }, json{ 4 }, json{ 3, 1 } }) {
        CHECK_EQUAL(code({ { "chat", { { "messages", two_turns } } }, { "replies", replies } }), "request.invalid");
    }
    CHECK_EQUAL(code({ { "text", "a" }, { "chat", { { "messages", two_turns } } } }), "request.invalid");
    CHECK_EQUAL(code(json::object()), "request.invalid");
    CHECK_EQUAL(code({ { "text", "a" }, { "colour", "red" } }), "request.invalid");
    // one that fails leaves the others alone
    const json both = tiny.texts.encode_examples(json::array({ json::object(), { { "text", "a" } } }), false)["examples"];
    CHECK(both[0].contains("error"));
    CHECK(both[1]["tokenCount"].get<int>() > 0 && !both[1].contains("tokens"));
}

const json weather = json::array({ { { "name", "weather" }, { "description", "Looks out" }, { "parameters", { { "type", "object" } } } } });
const json asked   = json::array({ message("user", "Weather?"),
                                   { { "role", "assistant" },
                                     { "content", "" },
                                     { "toolCalls", json::array({ { { "id", "1" }, { "name", "weather" }, { "arguments", "{}" } } }) } } });

// The tiny model's template knows no tools: a call would be an empty reply.
void check_hidden_tools(tiny_engine & tiny) {
    const json failed = encode(tiny, { { "chat", { { "messages", asked }, { "tools", weather } } }, { "replies", { 1 } } });
    CHECK_EQUAL(failed["error"]["code"].get<std::string>(), "template.failed");
    const json warned = encode(tiny, { { "chat", { { "messages", two_turns }, { "tools", weather } } }, { "replies", { 1 } } });
    CHECK_EQUAL(warned["hidden"].get<bool>(), true);
    CHECK_EQUAL(encode(tiny, { { "chat", { { "messages", two_turns } } } })["hidden"].get<bool>(), false);
}

const char * const with_tools = R"({%- if tools %}<|im_start|>system
{{ tools | tojson }}<|im_end|>
{% endif %}{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}{%- if message.tool_calls %}{%- for tool_call in message.tool_calls %}
<tool_call>
{"name": "{{ tool_call.function.name }}", "arguments": {{ tool_call.function.arguments | tojson }}}
</tool_call>{%- endfor %}{%- endif %}<|im_end|>
{% endfor %}{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %})";

void check_shown_tools(tiny_engine & tiny) {
    const json encoded = encode(tiny, { { "chat", { { "messages", asked }, { "tools", weather } } }, { "replies", { 1 } } });
    CHECK_EQUAL(encoded["hidden"].get<bool>(), false);
    CHECK_EQUAL(learnt(tiny, encoded).at(0), "<tool_call>\n{\"name\": \"weather\", \"arguments\": {}}\n</tool_call><|im_end|>");
    // the quick way to the prompt gives chat's, every time
    moebius::chat_templates templates(tiny.model.get());
    for (const json & chat : { json{ { "messages", two_turns } }, json{ { "messages", asked }, { "tools", weather } } }) {
        const moebius::chat_request request  = moebius::parse_chat(chat);
        const std::string           expected = templates.render(request).prompt;
        for (int i = 0; i < 3; ++i) {
            CHECK_EQUAL(templates.render_prompt(request), expected);
        }
    }
}

// Like reasoning models': what the last reply begins with is left out of earlier ones.
const char * const forgetful = R"({%- for message in messages %}<|im_start|>{{ message.role }}
{% if message.role == "assistant" and loop.last %}(thinks) {% endif %}{{ message.content }}<|im_end|>
{% endfor %}{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %})";

const char * const without_end = R"({%- for message in messages %}{{ message.role }}: {{ message.content }}
{% endfor %}{%- if add_generation_prompt %}assistant: {% endif %})";

// `check` with the tiny model that has another template
template <typename Check> void with_template(const char * chat_template, Check check) {
    const std::string path = write_model_copy(chat_template);
    {
        tiny_engine tiny(tiny_options(), path);
        check(tiny);
    }
    std::filesystem::remove(path);
}

void check_template_that_rewrites(tiny_engine & tiny) {
    const json chat   = { { "messages", two_turns } };
    const json failed = encode(tiny, { { "chat", chat }, { "replies", { 1, 3 } } });
    CHECK_EQUAL(failed["error"]["code"].get<std::string>(), "template.failed");
    CHECK(failed["error"]["message"].get<std::string>().find("first 2 messages") != std::string::npos);
    const auto last = learnt(tiny, encode(tiny, { { "chat", chat }, { "replies", { 3 } } }));
    CHECK_EQUAL(last.size(), 1u);
    CHECK_EQUAL(last.at(0), "(thinks) A big one.<|im_end|>");
    CHECK(!encode(tiny, { { "chat", chat } }).contains("error"));
}

void check_template_without_end(tiny_engine & tiny) {
    const json encoded = encode(tiny, { { "chat", { { "messages", two_turns } } }, { "replies", { 1 } } });
    CHECK_EQUAL(encoded["unended"].get<bool>(), true);
    // "assistant: " ends with a space, which the first word of the reply takes into its token
    CHECK_EQUAL(encoded["crossing"].get<bool>(), true);
    CHECK(learnt(tiny, encoded).at(0).find("A small person.") != std::string::npos);
}

}  // namespace

int main() {
    start_llama();
    {
        tiny_engine tiny;
        check_replies(tiny);
        check_prompt_of_chat(tiny);
        check_everything(tiny);
        check_refusals(tiny);
        check_hidden_tools(tiny);
    }
    with_template(with_tools, check_shown_tools);
    with_template(forgetful, check_template_that_rewrites);
    with_template(without_end, check_template_without_end);
    return check_result();
}
