#include "decoder.h"

#include "constraint.h"

#include <algorithm>

namespace moebius {

namespace {

constexpr size_t logits_reply_bytes = 512u << 20;

std::vector<llama_token> end_tokens_of(const llama_vocab * vocab) {
    std::vector<llama_token> ends;
    for (llama_token token = 0; token < llama_vocab_n_tokens(vocab); ++token) {
        if (llama_vocab_is_eog(vocab, token)) {
            ends.push_back(token);
        }
    }
    return ends;
}

void check_tokens(const std::vector<llama_token> & tokens, const llama_vocab * vocab) {
    const int32_t size = llama_vocab_n_tokens(vocab);
    for (const llama_token token : tokens) {
        if (token < 0 || token >= size) {
            throw user_error("request.invalid", "Parameter 'tokens' holds " + std::to_string(token) + ", the vocabulary has tokens 0 to " +
                                                    std::to_string(size - 1) + ".", { { "parameter", "tokens" }, { "token", token } });
        }
    }
}

}  // namespace

decoder::decoder(llama_model * model, model_texts & texts, const load_options & options, const json & inspection, output & out)
    : out(out), ctx(model, options, router_shape_from(inspection)), templates(texts.templates), end_tokens(end_tokens_of(ctx.vocab())),
      schedule(ctx, options.sequences, *this, out), desk(std::make_unique<clerk>()), thread([this] { decode_loop(); }) {
    desk->give([this] { templates.prepare(); });
}

decoder::~decoder() {
    {
        const std::lock_guard<std::mutex> lock(open_mutex);
        for (auto & [id, request] : open_requests) {
            request.cancelled->store(true);
        }
    }
    {
        const std::lock_guard<std::mutex> lock(inbox_mutex);
        closing = true;
    }
    inbox_changed.notify_one();
    thread.join();
    desk.reset();  // prepares the last ones in vain: queue() answers them
}

// --- from any thread

generation::common decoder::open(const json & request_id, uint32_t number) {
    const std::lock_guard<std::mutex> lock(open_mutex);
    for (const auto & [id, request] : open_requests) {
        if (request.generation == number) {
            throw user_error("generation.duplicate",
                             "A request with generation " + std::to_string(number) + " is still running; choose another number.", { { "generation", number } });
        }
    }
    const auto cancelled = std::make_shared<std::atomic<bool>>(false);
    open_requests.insert_or_assign(request_id.dump(), open_request{ number, cancelled });
    return { request_id, number, cancelled, now_us() };
}

void decoder::close(const generation::common & request) {
    const std::lock_guard<std::mutex> lock(open_mutex);
    open_requests.erase(request.id.dump());
}

bool decoder::cancel(const json & request_id) {
    const std::lock_guard<std::mutex> lock(open_mutex);
    const auto                        found = open_requests.find(request_id.dump());
    if (found == open_requests.end()) {
        return false;
    }
    found->second.cancelled->store(true);
    return true;
}

int decoder::running() const {
    const std::lock_guard<std::mutex> lock(open_mutex);
    return int(open_requests.size());
}

void decoder::generate(const json & request_id, const json & parameters) {
    auto asked         = std::make_shared<generate_request>(parse_generate(request_id, parameters));
    asked->adapters    = loras.set_of(asked->asked_adapters);
    const auto request = open(request_id, asked->generation);
    desk->give([this, request, asked] { prepare(request, [&] { return make_generation(request, std::move(*asked)); }); });
}

void decoder::logits(const json & request_id, const json & parameters) {
    auto         asked = std::make_shared<logits_request>(parse_logits(request_id, parameters));
    const size_t rows  = asked->logprobs ? 0 : asked->all ? asked->tokens.size() : 1;
    const size_t bytes = rows * size_t(llama_vocab_n_tokens(ctx.vocab())) * sizeof(float);
    asked->adapters    = loras.set_of(asked->asked_adapters);
    check_tokens(asked->tokens, ctx.vocab());
    check_length(asked->tokens.size());
    if (bytes > logits_reply_bytes) {
        throw user_error("request.invalid", "The logits of all tokens would be " + std::to_string(bytes >> 20) + " MiB, at most " +
                                                std::to_string(logits_reply_bytes >> 20) + " MiB are sent. Ask in shorter pieces.",
                         { { "bytes", bytes }, { "limit", logits_reply_bytes } });
    }
    const auto request = open(request_id, asked->generation);
    desk->give([this, request, asked] {
        prepare(request, [&] { return std::make_unique<generation>(request, std::move(*asked), ctx.vocab(), out); });
    });
}

void decoder::drop_adapter(int32_t id) {
    loras.remove(id);
    between_batches([this] { schedule.switch_off_unused(); });
}

void decoder::between_batches(const std::function<void()> & task) {
    std::packaged_task<void()> errand(task);
    std::future<void>          done = errand.get_future();
    {
        const std::lock_guard<std::mutex> lock(inbox_mutex);
        errands.push_back(std::move(errand));
        inbox_filled.store(true);
    }
    inbox_changed.notify_one();
    done.get();
}

// --- on the clerk's thread

template <typename Make> void decoder::prepare(const generation::common & request, Make make) {
    try {
        queue(make());
    } catch (const user_error & error) {
        answer_failure(request, error);
    } catch (const std::exception & error) {
        answer_failure(request, user_error("internal", std::string("Internal error: ") + error.what()));
    }
}

std::unique_ptr<generation> decoder::make_generation(const generation::common & request, generate_request asked) {
    std::optional<common_chat_params> rendered;
    std::optional<reply_parser>       parser;
    if (asked.chat) {
        check_schema(asked.json_schema);
        asked.chat->json_schema = asked.json_schema;
        rendered                = templates.render(*asked.chat);
        parser.emplace(*rendered, *asked.chat);
    }
    std::vector<llama_token> prompt = tokens_of(asked, rendered ? &*rendered : nullptr);
    check_length(prompt.size());
    complete_sampling(asked, rendered ? &*rendered : nullptr, ctx.vocab(), ctx.context_length());
    token_sampler sampler(ctx.get_model(), asked.sampling, asked.ignore_end_of_generation ? end_tokens : std::vector<llama_token>());
    return std::make_unique<generation>(request, std::move(asked), std::move(sampler), std::move(parser), std::move(prompt), ctx.vocab(), out);
}

// Special tokens are recognised in prompts, as llama-server does; a BOS is added if the model wants one (the template's own
// was taken off by libllama-common).
std::vector<llama_token> decoder::tokens_of(const generate_request & request, const common_chat_params * rendered) const {
    if (request.tokens) {
        check_tokens(*request.tokens, ctx.vocab());
        return *request.tokens;
    }
    return common_tokenize(ctx.vocab(), rendered ? rendered->prompt : *request.prompt, true, true);
}

void decoder::check_length(size_t tokens) const {
    const size_t length = ctx.context_length();
    if (tokens == 0) {
        throw user_error("prompt.empty", "The prompt has no tokens; give at least one.");
    }
    if (tokens > length) {
        throw user_error("prompt.too-long", "The prompt has " + std::to_string(tokens) + " tokens, the context holds " + std::to_string(length) +
                                                ". Shorten it or load the model with a longer context.",
                         { { "promptTokens", tokens }, { "contextLength", length } });
    }
}

void decoder::queue(std::unique_ptr<generation> request) {
    {
        const std::lock_guard<std::mutex> lock(inbox_mutex);
        if (!closing) {
            inbox.push_back(std::move(request));
            inbox_filled.store(true);
        }
    }
    if (request) {
        const generation::common basis = request->base();
        close(basis);
        out.reply(basis.id, request->result(finish_reason::cancelled));
        return;
    }
    inbox_changed.notify_one();
}

// --- on the decode thread

void decoder::decode_loop() {
    bool open = true;
    while (open) {
        std::vector<std::packaged_task<void()>> due;
        if (schedule.idle() || inbox_filled.load(std::memory_order_relaxed)) {
            std::unique_lock<std::mutex> lock(inbox_mutex);
            inbox_changed.wait(lock, [this] { return closing || !inbox.empty() || !errands.empty() || !schedule.idle(); });
            for (auto & request : inbox) {
                schedule.add(std::move(request));
            }
            inbox.clear();
            due.swap(errands);
            inbox_filled.store(false);
            open = !closing;
        }
        for (auto & errand : due) {
            errand();
        }
        schedule.step();
    }
    schedule.cancel_all();
}

void decoder::finished(std::unique_ptr<generation> ended, finish_reason reason) {
    if (!ended->parameters().chat) {
        close(ended->base());
        out.reply(ended->base().id, ended->result(reason));
        return;
    }
    desk->give([this, reason, ended = std::shared_ptr<generation>(std::move(ended))] {
        close(ended->base());
        out.reply(ended->base().id, ended->result(reason));
    });
}

void decoder::failed(std::unique_ptr<generation> ended, const user_error & error) {
    answer_failure(ended->base(), error);
}

void decoder::answer_failure(const generation::common & request, const user_error & error) {
    close(request);
    out.fail(request.id, error);
}

}  // namespace moebius
