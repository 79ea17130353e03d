// Everything that a loaded model does with tokens. Public methods may be called from any thread.
#pragma once

#include "clerk.h"
#include "context.h"
#include "model/options.h"
#include "rpc/output.h"
#include "scheduler.h"
#include "texts.h"

#include <atomic>
#include <condition_variable>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace moebius {

class decoder : private request_end {
  public:
    // Creates the context and starts the decode thread. `model`, `texts` (of it) and `out` must outlive this. inspection: the Inspection
    // object of protocol.ts, for the shape of the router. Throws user_error (model.load-failed).
    decoder(llama_model * model, model_texts & texts, const load_options & options, const json & inspection, output & out);
    // Ends every request as cancelled, with its result, and joins the threads.
    ~decoder() override;

    // Check the parameters (throw user_error: request.invalid, adapter.not-found, generation.duplicate) and queue the request; it is answered
    // through `output`: what only tokenising, the template or the grammar can tell comes as an error response.
    void generate(const json & request_id, const json & parameters);
    void logits(const json & request_id, const json & parameters);

    // True if the request was one of ours; it will be answered soon: a `generate` with finishReason cancelled.
    bool cancel(const json & request_id);

    // That requests can name.
    adapter_table & adapters() { return loras; }
    // Takes it out of the table and, unless a running request has it, out of memory. Throws adapter.not-found.
    void drop_adapter(int32_t id);

    // Runs `task` on the decode thread between two of its batches, where nobody else uses the model's threads, and waits for it.
    void between_batches(const std::function<void()> & task);

    // For the memory breakdown. Only right after construction: the decode thread owns it.
    llama_context * context() { return ctx.get(); }
    bool            observes_router() const { return ctx.observer() != nullptr; }
    // Requests that are not answered yet.
    int             running() const;

  private:
    struct open_request {
        uint32_t                           generation;
        std::shared_ptr<std::atomic<bool>> cancelled;
    };

    generation::common open(const json & request_id, uint32_t number);
    void               close(const generation::common & request);
    void               answer_failure(const generation::common & request, const user_error & error);
    template <typename Make> void prepare(const generation::common & request, Make make);
    std::unique_ptr<generation>   make_generation(const generation::common & request, generate_request asked);
    std::vector<llama_token>      tokens_of(const generate_request & request, const common_chat_params * rendered) const;
    void                          check_length(size_t tokens) const;
    void                          queue(std::unique_ptr<generation> request);
    void                          decode_loop();

    void finished(std::unique_ptr<generation> ended, finish_reason reason) override;
    void failed(std::unique_ptr<generation> ended, const user_error & error) override;

    output &                out;
    adapter_table            loras;
    decode_context           ctx;
    chat_templates &         templates;
    std::vector<llama_token> end_tokens;  // end-of-generation tokens of the vocabulary

    mutable std::mutex                  open_mutex;
    std::map<std::string, open_request> open_requests;  // by the text of the request id

    std::mutex                               inbox_mutex;
    std::condition_variable                  inbox_changed;
    std::vector<std::unique_ptr<generation>> inbox;
    std::vector<std::packaged_task<void()>>  errands;
    std::atomic<bool>                        inbox_filled{ false };  // spares the decode thread the lock
    bool                                     closing = false;

    scheduler                    schedule;
    std::unique_ptr<clerk>       desk;  // prepares requests, parses replies of chats
    std::thread                  thread;
};

}  // namespace moebius
