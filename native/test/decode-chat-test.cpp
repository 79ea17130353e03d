// Chat input: template, tools, parsed message, continuation.
#include "check.h"
#include "decode-harness.h"

using namespace moebius_test;

namespace {

json user(const std::string & text) {
    return { { "messages", { { { "role", "user" }, { "content", text } } } } };
}

void check_render(tiny_engine & tiny) {
    const json rendered = tiny.engine->render_chat(user("What is a dwarf?"));
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

void check_tools(tiny_engine & tiny) {
    json chat          = user("Weather in Ulm?");
    chat["tools"]      = { { { "name", "weather" },
                             { "description", "Looks out of the window" },
                             { "parameters", { { "type", "object" }, { "properties", { { "city", { { "enum", { "Ulm", "Rom" } } } } } }, { "required", { "city" } } } } } };
    chat["toolChoice"] = "required";
    const reply_seen reply = tiny.ask({ { "chat", chat }, { "sampling", greedy() }, { "maxTokens", 200 } });
    CHECK(reply.error.is_null());
    const json calls = reply.result["message"]["toolCalls"];
    CHECK_EQUAL(calls.size(), 1u);
    if (!calls.empty()) {
        CHECK_EQUAL(calls[0]["name"].get<std::string>(), "weather");
        CHECK(json::parse(calls[0]["arguments"].get<std::string>())["city"].is_string());
        CHECK(!calls[0]["id"].get<std::string>().empty());
    }
    json both = { { "chat", chat }, { "sampling", { { "grammar", "root ::= \"a\"" } } } };
    CHECK_EQUAL(tiny.ask(both).error_code(), "request.invalid");
    chat["messages"].push_back({ { "role", "assistant" }, { "content", "" }, { "toolCalls", { { { "id", "1" }, { "name", "weather" }, { "arguments", "{\"city\":\"Ulm\"}" } } } } });
    chat["messages"].push_back({ { "role", "tool" }, { "content", "rain" }, { "toolCallId", "1" } });
    chat["toolChoice"] = "none";
    CHECK(tiny.ask({ { "chat", chat }, { "maxTokens", 5 } }).error.is_null());
}

void check_continuation(tiny_engine & tiny) {
    json chat = user("What is a dwarf?");
    const std::string whole = tiny.ask({ { "chat", chat }, { "sampling", greedy() }, { "maxTokens", 60 } }).text();
    chat["messages"].push_back({ { "role", "assistant" }, { "content", whole.substr(0, 6) } });
    chat["continueFinalMessage"] = true;
    const std::string prompt = tiny.engine->render_chat(chat)["prompt"];
    CHECK(prompt.size() > 6 && prompt.substr(prompt.size() - 6) == whole.substr(0, 6));
    const reply_seen rest = tiny.ask({ { "chat", chat }, { "sampling", greedy() }, { "maxTokens", 60 } });
    CHECK_EQUAL(rest.result["message"]["content"].get<std::string>(), rest.text());
}

void check_strictness(tiny_engine & tiny) {
    const auto refuses = [&](const json & chat) {
        CHECK_THROWS(tiny.engine->render_chat(chat), moebius::user_error, error.code == "request.invalid");
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
    check_tools(tiny);
    check_continuation(tiny);
    check_strictness(tiny);
    return check_result();
}
