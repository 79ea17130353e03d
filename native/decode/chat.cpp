#include "chat.h"

#include "rpc/parameters.h"

#include <log.h>  // libllama-common

#include <random>

namespace moebius {

namespace {

// An id for a tool call whose format has none.
std::string new_tool_call_id() {
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    std::random_device random;
    std::string        id = "call_";
    for (int i = 0; i < 24; ++i) {
        id += alphabet[random() % (sizeof(alphabet) - 1)];
    }
    return id;
}

common_chat_tool_call parse_tool_call(const json & value, const std::string & where) {
    parameters            p(value, where);
    common_chat_tool_call call;
    call.id        = p.string("id");
    call.name      = p.string("name");
    call.arguments = p.string("arguments");
    p.finish();
    return call;
}

common_chat_msg parse_message(const json & value, const std::string & where) {
    parameters      p(value, where);
    common_chat_msg message;
    const auto      role = p.optional_choice("role", { "system", "user", "assistant", "tool" });
    if (!role) {
        p.refuse("role", "is missing");
    }
    message.role              = *role;
    message.content           = p.string("content");
    message.reasoning_content = p.optional_string("reasoningContent").value_or("");
    message.tool_call_id      = p.optional_string("toolCallId").value_or("");
    message.tool_name         = p.optional_string("name").value_or("");
    if (const json * calls = p.optional_array("toolCalls")) {
        for (size_t i = 0; i < calls->size(); ++i) {
            message.tool_calls.push_back(parse_tool_call((*calls)[i], where + ".toolCalls[" + std::to_string(i) + "]"));
        }
    }
    p.finish();
    return message;
}

common_chat_tool parse_tool(const json & value, const std::string & where) {
    parameters       p(value, where);
    common_chat_tool tool;
    tool.name        = p.string("name", 1);
    tool.description = p.string("description");
    tool.parameters  = p.object("parameters").dump();
    p.finish();
    return tool;
}

void check_continuation(const parameters & p, const chat_request & request) {
    if (!request.continue_final) {
        return;
    }
    const common_chat_msg & last = request.messages.back();
    if (last.role != "assistant" || !last.tool_calls.empty()) {
        p.refuse("continueFinalMessage", "needs an assistant's message without tool calls at the end of messages");
    }
}

// While any lives that is `on`, libllama-common tells errors only.
class quiet_warnings {
  public:
    explicit quiet_warnings(bool on) : on(on) { change(1); }
    ~quiet_warnings() { change(-1); }
    quiet_warnings(const quiet_warnings &)             = delete;
    quiet_warnings & operator=(const quiet_warnings &) = delete;

  private:
    void change(int by) const {
        static std::mutex guard;
        static int        count = 0;
        if (on) {
            const std::lock_guard<std::mutex> lock(guard);
            count += by;
            common_log_set_verbosity_thold(count > 0 ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN);
        }
    }

    bool on;
};

}  // namespace

chat_request parse_chat(const json & chat) {
    parameters   p(chat, "chat");
    chat_request request;
    const json * messages = p.optional_array("messages");
    if (!messages || messages->empty()) {
        p.refuse("messages", "must be an array of at least one message");
    }
    for (size_t i = 0; i < messages->size(); ++i) {
        request.messages.push_back(parse_message((*messages)[i], "chat.messages[" + std::to_string(i) + "]"));
    }
    if (const json * tools = p.optional_array("tools")) {
        for (size_t i = 0; i < tools->size(); ++i) {
            request.tools.push_back(parse_tool((*tools)[i], "chat.tools[" + std::to_string(i) + "]"));
        }
    }
    const auto choice = p.optional_choice("toolChoice", { "auto", "none", "required" });
    if (choice) {
        request.tool_choice = common_chat_tool_choice_parse_oaicompat(*choice);
    }
    request.continue_final = p.optional_boolean("continueFinalMessage").value_or(false);
    check_continuation(p, request);
    p.finish();
    return request;
}

reply_parser::reply_parser(const common_chat_params & rendered, const chat_request & request) : parameters(rendered) {
    parameters.reasoning_format = COMMON_REASONING_FORMAT_AUTO;
    parameters.parse_tool_calls = request.uses_tools();
    parameters.is_continuation  = request.continue_final;
    if (!rendered.parser.empty()) {
        parameters.parser.load(rendered.parser);
    }
    if (request.continue_final) {
        prefilled = request.messages.back().content;
    }
}

json reply_parser::parse(const std::string & reply, bool whole) const {
    common_chat_msg message;
    try {
        message = common_chat_parse(reply, !whole, parameters);
    } catch (const std::exception &) {
        message         = {};
        message.content = reply;
    }
    if (!prefilled.empty() && message.content.compare(0, prefilled.size(), prefilled) == 0) {
        message.content.erase(0, prefilled.size());
    }
    json calls = json::array();
    for (const common_chat_tool_call & call : message.tool_calls) {
        calls.push_back({ { "id", call.id.empty() ? new_tool_call_id() : call.id }, { "name", call.name }, { "arguments", call.arguments } });
    }
    return { { "content", message.content }, { "reasoningContent", message.reasoning_content }, { "toolCalls", std::move(calls) } };
}

chat_templates::chat_templates(const llama_model * model) : model(model) {}

void chat_templates::prepare() {
    const std::lock_guard<std::mutex> lock(mutex);
    try {
        templates = common_chat_templates_init(model, "");
    } catch (const std::exception &) {
        templates.reset();
    }
}

common_chat_params chat_templates::render(const chat_request & request) {
    const std::lock_guard<std::mutex> lock(mutex);
    return apply(request, false);
}

// libllama-common has its own code for some families of templates, which may change the prompt; it chooses by the template's
// source alone. For all others it renders the template as it is, and only these get message delimiters.
std::string chat_templates::render_prompt(const chat_request & request) {
    const std::lock_guard<std::mutex> lock(mutex);
    bool &                            known = generic[request.tools.empty() ? 0 : 1];
    const common_chat_params          rendered = apply(request, known);
    known                                      = known || !rendered.message_delimiters.delimiters.empty();
    return rendered.prompt;
}

bool chat_templates::shows(const char * capability) {
    const std::lock_guard<std::mutex> lock(mutex);
    parse_once();
    return common_chat_templates_get_caps(templates.get())[capability];
}

void chat_templates::parse_once() {
    try {
        if (!templates) {
            templates = common_chat_templates_init(model, "");
        }
    } catch (const std::exception & error) {
        throw user_error("template.failed", std::string("The model's chat template is broken: ") + error.what() + ".");
    }
}

common_chat_params chat_templates::apply(const chat_request & request, bool prompt_only) {
    parse_once();
    try {
        common_chat_templates_inputs inputs;
        inputs.messages               = request.messages;
        inputs.tools                  = request.tools;
        inputs.tool_choice            = request.tool_choice;
        inputs.json_schema            = request.json_schema;
        inputs.parallel_tool_calls    = common_chat_templates_get_caps(templates.get())["supports_parallel_tool_calls"];
        inputs.reasoning_format       = COMMON_REASONING_FORMAT_AUTO;
        inputs.add_generation_prompt  = !request.continue_final && !request.answered;
        inputs.continue_final_message = request.continue_final ? COMMON_CHAT_CONTINUATION_AUTO : COMMON_CHAT_CONTINUATION_NONE;
        inputs.force_pure_content     = prompt_only;
        const quiet_warnings quiet(prompt_only);  // it warns of every pure rendering
        return common_chat_templates_apply(templates.get(), inputs);
    } catch (const std::exception & error) {
        throw user_error("template.failed", std::string("The model's chat template failed: ") + error.what() +
                                                ". The messages may have an order or roles that it does not allow.");
    }
}

}  // namespace moebius
