#include "scheduler.h"

#include "experts/backend/loaded-experts.h"

#include <algorithm>
#include <map>

namespace moebius {

namespace {

// While others decode, a prompt chunk may delay their next token by about this much ...
constexpr double prompt_chunk_us = 250000;
// ... but is never smaller than this, or prefill would crawl.
constexpr uint32_t prompt_chunk_least = 32;

constexpr int64_t frame_interval_us = 34000;  // at most 30 a second

}  // namespace

scheduler::scheduler(decode_context & context, uint32_t sequences, request_end & end, output & out)
    : context(context), experts(expert_source_of(context.get_model())), end(end), out(out), slots(context, sequences), running(sequences), batch(llama_batch_init(int32_t(context.batch()), 0, 1)) {
    outputs.reserve(context.batch());
}

bool scheduler::is_lossy() const {
    return experts && experts->lossy && experts->lossy->active();
}

scheduler::~scheduler() {
    llama_batch_free(batch);
}

void scheduler::step() {
    end_cancelled();
    admit();
    if (running_count == 0) {
        return;
    }
    ++rounds;
    if (!take_turn()) {
        return;
    }
    for (const batch_plan & p : plan()) {
        run(p);
    }
    send_due_frames();
}

// A cancelled one that holds back text ends with its next token, which carries that text.
void scheduler::end_cancelled() {
    for (runner & g : running) {
        if (g && g->is_cancelled() && g->may_end()) {
            finish(g, finish_reason::cancelled);
        }
    }
    for (auto g = waiting.begin(); g != waiting.end();) {
        if ((*g)->is_cancelled()) {
            end.finished(std::move(*g), finish_reason::cancelled);
            g = waiting.erase(g);
        } else {
            ++g;
        }
    }
}

void scheduler::cancel_all() {
    for (runner & g : running) {
        if (g) {
            finish(g, finish_reason::cancelled);
        }
    }
    for (runner & g : waiting) {
        end.finished(std::move(g), finish_reason::cancelled);
    }
    waiting.clear();
}

void scheduler::admit() {
    while (!waiting.empty()) {
        const generate_request & parameters = waiting.front()->parameters();
        sequence_slot *          slot       = slots.acquire({ waiting.front()->tokens, parameters.cache_key, parameters.adapters.key, parameters.cache_prompt });
        if (!slot) {
            return;
        }
        runner & g = running[size_t(slot->sequence)];
        g          = std::move(waiting.front());
        waiting.pop_front();
        ++running_count;
        g->start(*slot, context.observer() ? &context.observer()->shape() : nullptr);
    }
}

// Switches the adapters on that compute next. False: it failed, and with it their requests.
bool scheduler::take_turn() {
    std::vector<std::string>              wanted;
    std::map<std::string, const runner *> of_set;
    for (const runner & g : running) {
        if (g && of_set.emplace(g->parameters().adapters.key, &g).second) {
            wanted.push_back(g->parameters().adapters.key);
        }
    }
    const int64_t     before = now_us();
    const std::string key    = turns.next(wanted, before);
    if (key == context.adapters_key()) {
        return true;
    }
    try {
        context.use_adapters((*of_set.at(key))->parameters().adapters);
        turns.changed(now_us() - before);
        return true;
    } catch (const user_error & error) {
        for (runner & g : running) {
            if (g && g->parameters().adapters.key == key) {
                fail(g, error);
            }
        }
        return false;
    }
}

void scheduler::switch_off_unused() {
    const auto has_them = [&](const runner & g) { return g && g->parameters().adapters.key == context.adapters_key(); };
    if (std::none_of(running.begin(), running.end(), has_them)) {
        context.use_adapters({});
    }
}

uint32_t scheduler::prompt_tokens_beside_decode() const {
    const uint32_t most = std::max(1u, context.batch() / 2);
    if (prompt_us <= 0) {
        return most;
    }
    return std::min(most, std::max(prompt_chunk_least, uint32_t(prompt_chunk_us / prompt_us)));
}

std::vector<batch_plan> scheduler::plan() {
    std::vector<batch_candidate> candidates;
    for (uint32_t i = 0; i < running.size(); ++i) {
        if (running[i] && running[i]->parameters().adapters.key == context.adapters_key()) {
            candidates.push_back({ i, running[i]->pending(), running[i]->wants_all_logits() });
        }
    }
    const batch_limits limits{ context.batch(), context.outputs(), prompt_tokens_beside_decode(), context.splits_by_sequence() };
    return plan_batches(candidates, limits, rounds);
}

// Writes the plan into `batch`; returns the number of tokens.
uint32_t scheduler::fill(const batch_plan & plan) {
    outputs.clear();
    uint32_t n = 0;
    for (const batch_share & share : plan) {
        const generation & g     = *running[share.slot];
        const size_t       first = g.slot->tokens.size();
        const bool         ends  = share.count == g.pending();
        for (uint32_t i = 0; i < share.count; ++i, ++n) {
            const bool wanted     = g.wants_all_logits() || (ends && i + 1 == share.count);
            batch.token[n]        = g.tokens[first + i];
            batch.pos[n]          = llama_pos(first + i);
            batch.n_seq_id[n]     = 1;
            batch.seq_id[n][0]    = g.slot->sequence;
            batch.logits[n]       = wanted;
            if (wanted) {
                outputs.push_back(n);
            }
        }
    }
    batch.n_tokens = int32_t(n);
    return n;
}

void scheduler::run(const batch_plan & plan) {
    const uint32_t count  = fill(plan);
    const int64_t  before = now_us();
    if (is_lossy()) {
        experts->lossy->begin_batch();
    }
    if (experts && experts->ahead) {
        experts->ahead->announce(batch.token, count, outputs);
    }
    int32_t        status = llama_decode(context.get(), batch);
    while (status == 1 && slots.evict_idle()) {  // no room in the KV cache: kept prefixes are the first to go
        status = llama_decode(context.get(), batch);
    }
    try {
        context.check_devices();
    } catch (const user_error & loss) {
        fail_plan(plan, loss);
        return;
    }
    if (status == 1) {
        run_parts(plan);
        return;
    }
    if (status != 0) {
        const std::string reason = experts ? experts->error() : "";
        fail_plan(plan, user_error("decode.failed",
                                   reason.empty() ? "llama.cpp could not evaluate a batch of " + std::to_string(count) + " tokens (llama_decode returned " +
                                                        std::to_string(status) + "). The log has its reason; unloading and loading the model may help."
                                                  : "An expert that the tokens need could not be read: " + reason +
                                                        ". Bring the file back as it was when the model was loaded, or load the model again.",
                                   { { "status", status }, { "tokens", count } }));
        return;
    }
    deliver(plan, count);
    learn_speed(plan, now_us() - before);
}

// The KV cache cannot take the whole batch at once: tries halves, down to single tokens.
void scheduler::run_parts(const batch_plan & plan) {
    if (plan.size() == 1 && plan[0].count == 1) {
        const std::string length = std::to_string(context.context_length());
        fail_plan(plan, user_error("context.full", "The KV cache is full: all sequences together use it up. Load the model with a longer "
                                                   "context (now " + length + " tokens a sequence) or run fewer requests at once.",
                                   { { "contextLength", context.context_length() } }));
        return;
    }
    if (plan.size() > 1) {
        const auto middle = plan.begin() + ptrdiff_t(plan.size() / 2);
        run(batch_plan(plan.begin(), middle));
        run(batch_plan(middle, plan.end()));
        return;
    }
    const batch_share share = plan[0];
    run({ { share.slot, share.count / 2 } });
    if (running[share.slot] && running[share.slot]->pending() > 0) {
        run({ { share.slot, share.count - share.count / 2 } });
    }
}

void scheduler::fail_plan(const batch_plan & plan, const user_error & error) {
    for (const batch_share & share : plan) {
        if (runner & g = running[share.slot]) {
            slots.clear(*g->slot);  // its cells may be half written
            fail(g, error);
        }
    }
}

// Hands the results of the batch on: routes first, they are positions of tokens that are not yet counted as evaluated.
void scheduler::deliver(const batch_plan & plan, uint32_t token_count) {
    const observed_routes * routes = context.observer() ? &context.observer()->read(context.get(), token_count, outputs) : nullptr;
    const auto              lossy  = is_lossy() ? experts->lossy->uses_of_tokens(token_count, outputs) : std::vector<lossy_uses>();
    uint32_t                first  = 0;
    size_t                  output = 0;
    for (const batch_share & share : plan) {
        runner & g = running[share.slot];
        if (routes) {
            g->count_routes(*routes, first, share.count);
        }
        for (uint32_t i = first; i < first + share.count && !lossy.empty(); i++) {
            g->count_lossy(lossy[i]);
        }
        first += share.count;
        g->evaluated(share.count);
        for (; g && output < outputs.size() && outputs[output] < first; ++output) {
            next_token(g, outputs[output]);
        }
    }
}

// Logits of batch token `index` are there.
void scheduler::next_token(runner & g, uint32_t index) {
    const float * logits = llama_get_logits_ith(context.get(), int32_t(index));
    if (!logits) {
        fail(g, user_error("decode.failed", "llama.cpp gave no logits for a token that asked for them."));
        return;
    }
    if (g->wants_logits_frame()) {
        if (g->add_logits(logits)) {
            finish(g, finish_reason::length);
        }
        return;
    }
    if (g->parameters().max_tokens == 0) {
        finish(g, finish_reason::length);
        return;
    }
    llama_token token = LLAMA_TOKEN_NULL;
    try {
        token = g->draw(context.get(), int32_t(index), logits);
    } catch (const std::exception & error) {
        fail(g, user_error("grammar.invalid", std::string("The grammar has no way on from here: ") + error.what()));
        return;
    }
    if (token == LLAMA_TOKEN_NULL) {
        fail(g, user_error("decode.failed",
                           "The model gave no usable logits (not a number, or all minus infinity). The file or a device may be broken."));
        return;
    }
    const bool full = g->slot->tokens.size() >= context.context_length();
    if (const auto reason = g->accept(token, logits, full)) {
        finish(g, *reason);
    } else if (full) {
        make_room(g);
    }
}

void scheduler::make_room(runner & g) {
    if (g->parameters().overflow == overflow_mode::shift) {
        g->shift(slots);
        return;
    }
    const uint32_t length = context.context_length();
    fail(g, user_error("context.full",
                       "The context of " + std::to_string(length) + " tokens is full after " + std::to_string(g->output_count()) +
                           " generated tokens. Load the model with a longer context, or ask for overflow `stop` or `shift`.",
                       { { "contextLength", length }, { "tokens", g->output_count() } }));
}

void scheduler::finish(runner & g, finish_reason reason) {
    slots.release(*g->slot);
    --running_count;
    g->send_rest();
    end.finished(std::move(g), reason);
}

void scheduler::fail(runner & g, const user_error & error) {
    slots.release(*g->slot);
    --running_count;
    g->send_rest();
    end.failed(std::move(g), error);
}

// All generations at the same moment: on a busy machine it is the waking of the client that costs, not the bytes.
void scheduler::send_due_frames() {
    const int64_t now = now_us();
    const bool    due = now >= frames_due_us;
    std::vector<std::vector<uint8_t>> frames;
    for (runner & g : running) {
        if (g && (due || g->begins())) {
            g->take_frames(frames);
        }
    }
    if (due) {
        frames_due_us = now + frame_interval_us;
    }
    if (!frames.empty()) {
        out.send_frames(std::move(frames));
    }
}

void scheduler::learn_speed(const batch_plan & plan, int64_t took_us) {
    uint32_t tokens = 0;
    for (const batch_share & share : plan) {
        tokens += share.count;
    }
    if (tokens >= prompt_chunk_least) {
        const double each = double(took_us) / tokens;
        prompt_us         = prompt_us > 0 ? 0.7 * prompt_us + 0.3 * each : each;
    }
}

}  // namespace moebius
