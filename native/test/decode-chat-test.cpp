// Chat input: template, tools, parsed message, continuation.
#include "check.h"
#include "decode-harness.h"
#include "model-copy.h"

using namespace moebius_test;

namespace {

// The usual form of tools and tool calls (Hermes, Qwen).
const char * const tool_template = R"({%- if tools %}<|im_start|>system
# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>{%- for tool in tools %}
{{ tool | tojson }}{%- endfor %}
</tools>

For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call><|im_end|>
{% endif %}{%- for message in messages %}{%- if message.role == "tool" %}<|im_start|>user
<tool_response>
{{ message.content }}
</tool_response><|im_end|>
{% elif message.tool_calls %}<|im_start|>assistant
{{ message.content }}{%- for tool_call in message.tool_calls %}
<tool_call>
{"name": "{{ tool_call.function.name }}", "arguments": {{ tool_call.function.arguments | tojson }}}
</tool_call>{%- endfor %}<|im_end|>
{% else %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endif %}{%- endfor %}{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %})";

json user(const std::string & text) {
    return { { "messages", { { { "role", "user" }, { "content", text } } } } };
}

void check_render(tiny_engine & tiny) {
    const json rendered = tiny.texts.render_chat(user("What is a dwarf?"));
    CHECK_EQUAL(rendered["prompt"].get<std::string>(), "<|im_start|>user\nWhat is a dwarf?<|im_end|>\n<|im_start|>assistant\n");
    CHECK_EQUAL(rendered["tokenCount"].get<int>(), 16);
}

void check_reply(tiny_engine & tiny) {
    const reply_seen reply = tiny.ask({ { "chat", user("What is a dwarf?") }, { "sampling", greedy() }, { "maxTokens", 60 } });
    CHECK_EQUAL(reply.result["finishReason"].get<std::string>(), "stop");
    CHECK_EQUAL(reply.result["message"]["content"].get<std::string>(), reply.text());
    CHECK(reply.result["message"]["toolCalls"].empty());
    CHECK_EQUAL(reply.result["promptTokens"].get<int>(), 16);
    const reply_seen cut = tiny.ask({ { "chat", user("What is a dwarf?") }, { "sampling", greedy() }, { "maxTokens", 3 } });
    CHECK_EQUAL(cut.result["message"]["content"].get<std::string>(), cut.text());
}

void check_constrained(tiny_engine & tiny) {
    json ask = { { "chat", user("Say it") }, { "maxTokens", 40 }, { "sampling", { { "temperature", 0 }, { "grammar", "root ::= \"yes\"" } } } };
    CHECK_EQUAL(tiny.ask(ask).result["message"]["content"].get<std::string>(), "yes");
    ask["sampling"] = { { "temperature", 0 }, { "jsonSchema", { { "enum", { "red", "green" } } } } };
    const std::string value = json::parse(tiny.ask(ask).result["message"]["content"].get<std::string>());
    CHECK(value == "red" || value == "green");
}

json weather_tool() {
    const json city = { { "type", "string" }, { "enum", { "Ulm", "Rom" } } };
    return { { "name", "weather" },
             { "description", "Looks out of the window" },
             { "parameters", { { "type", "object" }, { "properties", { { "city", city } } }, { "required", { "city" } } } } };
}

// The little model never writes a call by itself, so replies are given to the parser.
void check_tool_parsing(tiny_engine & tiny, const json & chat) {
    const moebius::chat_request   request = moebius::parse_chat(chat);
    moebius::chat_templates       templates(tiny.model.get());
    const common_chat_params      rendered = templates.render(request);
    const moebius::reply_parser   parser(rendered, request);
    const std::string             call = "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Ulm\"}}\n</tool_call>";
    CHECK(rendered.prompt.find("Looks out of the window") != std::string::npos);
    CHECK(!rendered.grammar.empty());
    const json message = parser.parse("Let me see.\n" + call, true);
    CHECK_EQUAL(message["toolCalls"].size(), 1u);
    for (const json & each : message["toolCalls"]) {
        CHECK_EQUAL(each["name"].get<std::string>(), "weather");
        CHECK_EQUAL(json::parse(each["arguments"].get<std::string>())["city"].get<std::string>(), "Ulm");
        CHECK(each["id"].get<std::string>().size() > 8);
    }
    CHECK(message["content"].get<std::string>().find("tool_call") == std::string::npos);
    // what does not follow the format is content, whole
    const std::string broken = "<tool_call>\n{\"name\": nonsense";
    CHECK_EQUAL(parser.parse(broken, true)["content"].get<std::string>(), broken);
}

void check_tool_requests(tiny_engine & tiny, json chat) {
    json both = { { "chat", chat }, { "sampling", { { "grammar", "root ::= \"a\"" } } } };
    CHECK_EQUAL(tiny.ask(both).error_code(), "request.invalid");
    const json call = { { "id", "call_1" }, { "name", "weather" }, { "arguments", "{\"city\":\"Ulm\"}" } };
    chat["messages"].push_back({ { "role", "assistant" }, { "content", "" }, { "toolCalls", json::array({ call }) } });
    chat["messages"].push_back({ { "role", "tool" }, { "content", "rain" }, { "toolCallId", "call_1" } });
    for (const char * choice : { "none", "auto", "required" }) {
        chat["toolChoice"]     = choice;
        const reply_seen reply = tiny.ask({ { "chat", chat }, { "maxTokens", 5 }, { "sampling", greedy() } });
        CHECK_EQUAL(reply.error.dump(), "null");
        CHECK_EQUAL(reply.result["message"]["content"].get<std::string>(), reply.text());
    }
}

void check_tools() {
    const std::string path = write_model_copy(tool_template);
    {
        tiny_engine tiny(tiny_options(), path);
        json        chat   = user("Weather in Ulm?");
        chat["tools"]      = json::array({ weather_tool() });
        check_tool_parsing(tiny, chat);
        check_tool_requests(tiny, chat);
    }
    std::filesystem::remove(path);
}

void check_continuation(tiny_engine & tiny) {
    json chat = user("What is a dwarf?");
    const std::string whole = tiny.ask({ { "chat", chat }, { "sampling", greedy() }, { "maxTokens", 60 } }).text();
    chat["messages"].push_back({ { "role", "assistant" }, { "content", whole.substr(0, 6) } });
    chat["continueFinalMessage"] = true;
    const std::string prompt = tiny.texts.render_chat(chat)["prompt"];
    CHECK(prompt.size() > 6 && prompt.substr(prompt.size() - 6) == whole.substr(0, 6));
    const reply_seen rest = tiny.ask({ { "chat", chat }, { "sampling", greedy() }, { "maxTokens", 60 } });
    CHECK_EQUAL(rest.result["message"]["content"].get<std::string>(), rest.text());
}

void check_strictness(tiny_engine & tiny) {
    const auto refuses = [&](const json & chat) {
        CHECK_THROWS(tiny.texts.render_chat(chat), moebius::user_error, error.code == "request.invalid");
    };
    refuses({ { "messages", json::array() } });
    refuses({ { "messages", { { { "role", "robot" }, { "content", "x" } } } } });
    refuses({ { "messages", { { { "role", "user" } } } } });
    refuses({ { "messages", { { { "role", "user" }, { "content", "x" }, { "colour", "red" } } } } });
    json wrong                    = user("x");
    wrong["continueFinalMessage"] = true;
    refuses(wrong);
}

}  // namespace

int main() {
    start_llama();
    tiny_engine tiny;
    check_render(tiny);
    check_reply(tiny);
    check_constrained(tiny);
    check_tools();
    check_continuation(tiny);
    check_strictness(tiny);
    return check_result();
}
