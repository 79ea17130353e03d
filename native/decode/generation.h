// One request on its way through the decode thread: its tokens, its sampler, its frames, its result.
#pragma once

#include "experts/lossy/lossy-experts.h"
#include "request.h"
#include "router/route-frames.h"
#include "router/usage-counters.h"
#include "rpc/output.h"
#include "sampler.h"
#include "slots.h"
#include "text-stream.h"
#include "token-frames.h"

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace moebius {

int64_t now_us();  // monotonic

enum class finish_reason { stop, stop_string, length, context_full, cancelled };

class generation {
  public:
    // What every request has in common with model.logits.
    struct common {
        json                               id;
        uint32_t                           number = 0;  // the client's `generation`
        std::shared_ptr<std::atomic<bool>> cancelled;
        int64_t                            received_us = 0;
    };

    generation(common basis, generate_request request, token_sampler sampler, std::optional<reply_parser> parser,
               std::vector<llama_token> prompt, const llama_vocab * vocab, output & out);
    // model.logits: evaluates `request.tokens` and sends their logits, or how likely each was
    generation(common basis, logits_request request, const llama_vocab * vocab, output & out);

    // --- what the scheduler asks
    bool     wants_logits_frame() const { return logits_only; }
    bool     wants_all_logits() const { return logits_only && all_logits; }
    bool     is_cancelled() const { return basis.cancelled->load(std::memory_order_relaxed); }
    // A cancelled one may end now: nothing is held back that a token would have to carry.
    bool     may_end() const { return !text.holds(); }
    size_t   pending() const { return tokens.size() - slot->tokens.size(); }
    uint32_t output_count() const { return generated; }

    // --- events, in this order
    void start(sequence_slot & slot, const router_shape * observed);
    void count_routes(const observed_routes & routes, uint32_t first, uint32_t count);  // before `evaluated`
    void count_lossy(const lossy_uses & of_token);
    void evaluated(uint32_t count);
    bool add_logits(const float * row);  // true: that was the last row
    // A token was drawn from `logits`. Returns the reason if it was the last one.
    // full: the context has no room to evaluate it.
    std::optional<finish_reason> accept(llama_token token, const float * logits, bool full);
    // The context is full, make room: drops the oldest half of what comes after the first `keep`.
    void shift(slot_pool & slots);
    // The first token is there and was not sent yet.
    bool begins() const { return frames.holds_first(); }
    // Moves all that was gathered since the last time to the end of `into`.
    void take_frames(std::vector<std::vector<uint8_t>> & into);
    // Sends every frame that is left. Then the result may be sent.
    void send_rest();
    // GenerateResult; parses the reply of a chat, so it may take milliseconds. Any thread, after the last event.
    json result(finish_reason reason) const;

    llama_token draw(llama_context * context, int32_t index, const float * logits) { return sampler->sample(context, index, logits); }

    const common &         base() const { return basis; }
    const generate_request & parameters() const { return request; }
    sequence_slot *        slot = nullptr;
    std::vector<llama_token> tokens;  // prompt, then generated; slot->tokens is always a prefix

  private:
    bool        is_end(llama_token token) const;
    std::string piece_of(llama_token token, bool end) const;
    std::optional<finish_reason> reason_after(bool end, bool full) const;

    common                        basis;
    generate_request              request;
    std::optional<token_sampler>  sampler;
    std::optional<reply_parser>   parser;
    const llama_vocab *           vocab;
    output &                      out;
    bool                          logits_only = false;
    bool                          all_logits  = false;
    bool                          wants_logprobs = false;
    std::vector<float>            logprobs;  // of tokens[1], tokens[2], ...
    uint32_t                      logit_rows  = 0;
    frame_writer                  logits_frame;

    text_stream                   text;
    token_frames                  frames;
    std::optional<usage_counters> usage;
    std::optional<route_frames>   routes;
    std::string                   reply;  // all released text, for the parser
    std::vector<token_choice>     top;

    std::optional<lossy_uses>     lossy;  // of tokens that were evaluated with lossy modes on
    size_t                        prompt_count = 0;
    size_t                        cached_count = 0;
    uint32_t                      generated    = 0;
    size_t                        shifted      = 0;
    int64_t                       started_us   = 0;  // got its slot
    int64_t                       first_us     = 0;  // first token
    int64_t                       last_us      = 0;  // latest token
};

}  // namespace moebius
