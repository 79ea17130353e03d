#include "generation.h"

#include <chrono>
#include <cmath>
#include <limits>

namespace moebius {

namespace {

const char * reason_name(finish_reason reason) {
    switch (reason) {
        case finish_reason::stop: return "stop";
        case finish_reason::stop_string: return "stopString";
        case finish_reason::length: return "length";
        case finish_reason::context_full: return "contextFull";
        case finish_reason::cancelled: return "cancelled";
    }
    return "stop";
}

double milliseconds(int64_t from_us, int64_t to_us) {
    return from_us > 0 && to_us > from_us ? double(to_us - from_us) / 1000.0 : 0.0;
}

}  // namespace

int64_t now_us() {
    return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

generation::generation(common basis, generate_request asked, token_sampler chosen, std::optional<reply_parser> parser,
                       std::vector<llama_token> prompt, const llama_vocab * vocab, output & out)
    : tokens(std::move(prompt)), basis(std::move(basis)), request(std::move(asked)), sampler(std::move(chosen)), parser(std::move(parser)),
      vocab(vocab), out(out), text(request.stop), frames(this->basis.number, vocab), prompt_count(tokens.size()) {
    sampler->prime(tokens);
}

generation::generation(common basis, logits_request asked, const llama_vocab * vocab, output & out)
    : tokens(std::move(asked.tokens)), basis(std::move(basis)), vocab(vocab), out(out), logits_only(true), all_logits(asked.all),
      wants_logprobs(asked.logprobs), text({}), frames(this->basis.number, vocab), prompt_count(tokens.size()) {
    request.cache_prompt = false;  // every token must be evaluated
    request.adapters     = std::move(asked.adapters);
    logits_frame.begin(frame_kind::logits, this->basis.number);
    logits_frame.u32(0);
    logits_frame.u32(uint32_t(llama_vocab_n_tokens(vocab)));
}

void generation::start(sequence_slot & given, const router_shape * observed) {
    slot         = &given;
    cached_count = given.tokens.size();
    started_us   = now_us();
    if (observed && !logits_only) {
        usage.emplace(*observed);
        if (request.routes) {
            routes.emplace(*observed);
        }
    }
}

void generation::count_routes(const observed_routes & observed, uint32_t first, uint32_t count) {
    if (usage) {
        usage->add(observed, first, count);
    }
    if (routes) {
        const uint32_t position = uint32_t(slot->tokens.size() + shifted);
        if (!routes->continues(position)) {
            out.send_frame(routes->take_frame(basis.number));
        }
        routes->add(observed, first, count, tokens.data() + slot->tokens.size(), position);
    }
}

void generation::count_lossy(const lossy_uses & of_token) {
    lossy = lossy.value_or(lossy_uses());
    lossy->add(of_token);
}

void generation::evaluated(uint32_t count) {
    const size_t done = slot->tokens.size();
    slot->tokens.insert(slot->tokens.end(), tokens.begin() + ptrdiff_t(done), tokens.begin() + ptrdiff_t(done + count));
    // Not of the whole prompt, which the first token tells: to wake the client costs a busy machine a millisecond or two.
    if (!request.progress_token.empty() && generated == 0 && slot->tokens.size() < prompt_count) {
        out.notify_progress(request.progress_token, double(slot->tokens.size() - cached_count) / double(prompt_count - cached_count), "prompt");
    }
}

bool generation::add_logits(const float * row) {
    const size_t count = size_t(llama_vocab_n_tokens(vocab));
    if (!wants_logprobs) {
        logits_frame.append(row, count * sizeof(float));
    } else if (logit_rows + 1 < tokens.size()) {
        logprobs.push_back(log_softmax(row, count).of(tokens[logit_rows + 1]));
    }
    return ++logit_rows == (all_logits ? tokens.size() : 1);
}

bool generation::is_end(llama_token token) const {
    return llama_vocab_is_eog(vocab, token) && !request.ignore_end_of_generation;
}

// Special tokens have no text, but those that the template's tool-call format is made of.
std::string generation::piece_of(llama_token token, bool end) const {
    if (end) {
        return {};
    }
    const auto & preserved = request.sampling.preserved_tokens;
    return token_piece(vocab, token, !preserved.empty() && preserved.count(token) > 0);
}

std::optional<finish_reason> generation::reason_after(bool end, bool full) const {
    if (end) {
        return finish_reason::stop;
    }
    if (text.stopped_by()) {
        return finish_reason::stop_string;
    }
    if (generated >= request.max_tokens) {
        return finish_reason::length;
    }
    if (is_cancelled()) {
        return finish_reason::cancelled;
    }
    if (full && request.overflow == overflow_mode::stop) {
        return finish_reason::context_full;
    }
    return std::nullopt;
}

std::optional<finish_reason> generation::accept(llama_token token, const float * logits, bool full) {
    last_us = now_us();
    if (generated++ == 0) {
        first_us = last_us;
    }
    tokens.push_back(token);
    const bool   end = is_end(token);
    token_record record{ token, std::numeric_limits<float>::quiet_NaN(), end, {}, nullptr };
    if (request.logprobs) {
        const log_softmax chances(logits, size_t(llama_vocab_n_tokens(vocab)));
        record.logprob = chances.of(token);
        chances.top(*request.logprobs, top);
        record.top = &top;
    }
    record.text       = text.push(piece_of(token, end));
    const auto reason = reason_after(end, full);
    std::string all;
    if (reason && text.holds()) {
        all         = record.text;
        all        += text.finish();
        record.text = all;
    }
    if (parser) {
        reply += record.text;
    }
    frames.add(record);
    return reason;
}

void generation::shift(slot_pool & slots) {
    const size_t length  = slot->tokens.size();
    const size_t keep    = std::min<size_t>(request.keep, length > 2 ? length - 2 : 0);
    const size_t discard = std::max<size_t>(1, (length - keep) / 2);
    tokens.erase(tokens.begin() + ptrdiff_t(keep), tokens.begin() + ptrdiff_t(keep + discard));
    slots.shift(*slot, keep, discard);
    shifted += discard;
}

void generation::take_frames(std::vector<std::vector<uint8_t>> & into) {
    if (!frames.empty()) {
        into.push_back(frames.take_frame());
    }
    if (usage && !usage->empty()) {
        into.push_back(usage->take_frame(basis.number));
    }
    if (routes && !routes->empty()) {
        into.push_back(routes->take_frame(basis.number));
    }
}

void generation::send_rest() {
    std::vector<std::vector<uint8_t>> rest;
    take_frames(rest);
    if (logits_only && logit_rows > 0 && !wants_logprobs) {
        logits_frame.set_u32(8, logit_rows);
        rest.push_back(logits_frame.take());
    }
    out.send_frames(std::move(rest));
}

json generation::result(finish_reason reason) const {
    if (logits_only) {
        json sent = { { "rowCount", wants_logprobs ? 0 : logit_rows }, { "vocabularySize", llama_vocab_n_tokens(vocab) } };
        if (wants_logprobs) {
            sent["logprobs"] = logprobs;
        }
        return sent;
    }
    const int64_t prompt_end = first_us > 0 ? first_us : now_us();
    return {
        { "finishReason", reason_name(reason) },
        { "stopString", reason == finish_reason::stop_string ? json(*text.stopped_by()) : json() },
        { "promptTokens", prompt_count },
        { "cachedTokens", cached_count },
        { "tokens", generated },
        { "shiftedTokens", shifted },
        { "seed", sampler->seed() },
        { "queueMilliseconds", milliseconds(basis.received_us, started_us > 0 ? started_us : prompt_end) },
        { "promptMilliseconds", milliseconds(started_us, prompt_end) },
        { "decodeMilliseconds", milliseconds(first_us, last_us) },
        { "timeToFirstTokenMilliseconds", milliseconds(basis.received_us, first_us) },
        { "lossy", lossy ? json{ { "assignments", lossy->assignments }, { "lowPrecision", lossy->low }, { "skipped", lossy->skipped } } : json() },
        { "message", parser ? parser->parse(reply, reason == finish_reason::stop || reason == finish_reason::stop_string) : json() },
    };
}

}  // namespace moebius
