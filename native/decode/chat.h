// Chat templates and the parsing of replies, by libllama-common.
#pragma once

#include "rpc/errors.h"

#include <chat.h>  // libllama-common
#include <llama.h>

#include <mutex>
#include <string>
#include <vector>

namespace moebius {

// ChatInput of main/engine/protocol.ts.
struct chat_request {
    std::vector<common_chat_msg>  messages;
    std::vector<common_chat_tool> tools;
    common_chat_tool_choice       tool_choice    = COMMON_CHAT_TOOL_CHOICE_AUTO;
    bool                          continue_final = false;
    bool                          answered       = false;  // the messages are all there is: no prompt for a reply
    std::string                   json_schema;  // text of the response format, or empty

    bool uses_tools() const { return !tools.empty() && tool_choice != COMMON_CHAT_TOOL_CHOICE_NONE; }
};

// Throws user_error (request.invalid).
chat_request parse_chat(const json & chat);

// How to read the reply to one rendered prompt.
class reply_parser {
  public:
    reply_parser(const common_chat_params & rendered, const chat_request & request);

    // The `message` of a GenerateResult. A reply that does not follow the template's format is all content.
    // whole: the model ended its reply by itself.
    json parse(const std::string & reply, bool whole) const;

  private:
    common_chat_parser_params parameters;
    std::string               prefilled;  // content of the message that was continued
};

class chat_templates {
  public:
    explicit chat_templates(const llama_model * model);

    // Parses the template ahead of the first use, which is then quicker; keeps failures for that use.
    void prepare();

    // Throws user_error (template.failed). Thread-safe.
    common_chat_params render(const chat_request & request);

    // The prompt of `render` alone, without working out how its reply is parsed, which takes most of the time. Throws
    // user_error (template.failed). Thread-safe.
    std::string render_prompt(const chat_request & request);

    // What the template shows, a name of libllama-common's capabilities: "supports_tools", "supports_tool_calls". Throws
    // user_error (template.failed).
    bool shows(const char * capability);

  private:
    common_chat_params apply(const chat_request & request, bool prompt_only);
    void               parse_once();

    const llama_model *       model;
    common_chat_templates_ptr templates;  // parsed at the first use
    std::mutex                mutex;
    // [without tools, with tools]: known to be one of libllama-common's generic templates, whose prompts are all that the
    // template itself gives
    bool generic[2] = { false, false };
};

}  // namespace moebius
