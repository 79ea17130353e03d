// How replies end: stop strings, length, a full context, cancellation, errors; and what the result then says.
#include "check.h"
#include "decode-harness.h"

using namespace moebius_test;

namespace {

const char * const genesis = "In the beginning God created";

json request(json more) {
    json basis = { { "prompt", genesis }, { "sampling", greedy() } };
    basis.update(more);
    return basis;
}

void check_length(tiny_engine & tiny) {
    const reply_seen reply = tiny.ask(request({ { "maxTokens", 12 } }));
    CHECK_EQUAL(reply.result["finishReason"].get<std::string>(), "length");
    CHECK_EQUAL(reply.tokens.size(), 12u);
    CHECK(reply.result["stopString"].is_null() && reply.result["message"].is_null());
    CHECK(reply.result["timeToFirstTokenMilliseconds"].get<double>() > 0);
    CHECK(reply.result["decodeMilliseconds"].get<double>() > 0);
    const reply_seen none = tiny.ask(request({ { "maxTokens", 0 } }));
    CHECK_EQUAL(none.result["finishReason"].get<std::string>(), "length");
    CHECK_EQUAL(none.tokens.size(), 0u);
}

// every cut of the reply as a stop string: the text ends before it, wherever the borders of tokens lie
void check_stop_strings(tiny_engine & tiny) {
    const std::string whole = tiny.ask(request({ { "maxTokens", 24 } })).text();
    for (size_t at = 1; at + 5 < whole.size(); at += 3) {
        const std::string stop  = whole.substr(at, 5);
        const reply_seen  reply = tiny.ask(request({ { "maxTokens", 24 }, { "stop", { stop } } }));
        CHECK_EQUAL(reply.text(), whole.substr(0, whole.find(stop)));
        CHECK_EQUAL(reply.result["finishReason"].get<std::string>(), "stopString");
        CHECK_EQUAL(reply.result["stopString"].get<std::string>(), stop);
    }
    const reply_seen never = tiny.ask(request({ { "maxTokens", 24 }, { "stop", { whole + "never" } } }));
    CHECK_EQUAL(never.text(), whole);  // held back to the end, then released
}

void check_end_of_generation(tiny_engine & tiny) {
    json ask = request({ { "maxTokens", 60 } });
    ask["prompt"] = "<|im_start|>user\nWhat is a dwarf?<|im_end|>\n<|im_start|>assistant\n";
    const reply_seen reply = tiny.ask(ask);
    CHECK_EQUAL(reply.result["finishReason"].get<std::string>(), "stop");
    CHECK(reply.tokens.back().end && reply.tokens.back().text.empty());
    CHECK_EQUAL(reply.result["tokens"].get<size_t>(), reply.tokens.size());
    ask["ignoreEndOfGeneration"] = true;
    const reply_seen on = tiny.ask(ask);
    CHECK_EQUAL(on.tokens.size(), 60u);
    for (const token_seen & token : on.tokens) {
        CHECK(!token.end && !llama_vocab_is_eog(tiny.vocab(), token.id));
    }
}

// A single sequence has cells of its own, several share theirs.
void check_overflow(uint32_t sequences) {
    moebius::load_options options = tiny_options();
    options.sequences             = sequences;
    options.context_length        = 64;
    tiny_engine tiny(options);
    const int   prompt = tiny.ask(request({ { "maxTokens", 1 } })).result["promptTokens"].get<int>();

    const reply_seen stop = tiny.ask(request({ { "ignoreEndOfGeneration", true } }));
    CHECK_EQUAL(stop.result["finishReason"].get<std::string>(), "contextFull");
    CHECK_EQUAL(int(stop.tokens.size()), 64 - prompt + 1);

    const reply_seen error = tiny.ask(request({ { "ignoreEndOfGeneration", true }, { "overflow", "error" } }));
    CHECK_EQUAL(error.error_code(), "context.full");
    CHECK_EQUAL(int(error.tokens.size()), 64 - prompt + 1);  // the streamed part stays

    const reply_seen shift = tiny.ask(request({ { "ignoreEndOfGeneration", true }, { "overflow", "shift" }, { "keep", 4 }, { "maxTokens", 200 } }));
    CHECK_EQUAL(shift.tokens.size(), 200u);
    CHECK(shift.result["shiftedTokens"].get<int>() >= 200 + prompt - 1 - 64);
    const std::vector<int32_t> before_shift = stop.ids(), with_shift = shift.ids();
    CHECK(std::equal(before_shift.begin(), before_shift.end(), with_shift.begin()));
    // a slot that shares its cells with another one must not move them: the neighbour's next reply would change
    json copy        = request({ { "maxTokens", 8 } });
    copy["cacheKey"] = "neighbour";
    const reply_seen before = tiny.ask(copy);
    json moving             = request({ { "ignoreEndOfGeneration", true }, { "overflow", "shift" }, { "maxTokens", 150 } });
    moving["cacheKey"]      = "moving";
    CHECK_EQUAL(tiny.ask(moving).tokens.size(), 150u);
    CHECK(tiny.ask(copy).ids() == before.ids());

    std::vector<int> long_prompt(65, 300);
    const reply_seen too_long = tiny.ask({ { "tokens", long_prompt } });
    CHECK_EQUAL(too_long.error_code(), "prompt.too-long");
    CHECK_EQUAL(too_long.error["data"]["details"]["promptTokens"].get<int>(), 65);
    CHECK_EQUAL(too_long.error["data"]["details"]["contextLength"].get<int>(), 64);
    CHECK_EQUAL(tiny.ask({ { "tokens", json::array() } }).error_code(), "prompt.empty");
}

void check_cancel(tiny_engine & tiny) {
    const int id = tiny.send(request({ { "ignoreEndOfGeneration", true } }));
    tiny.out.wait_for_tokens(id, 5);
    CHECK(tiny.engine->cancel(id));
    const reply_seen reply = tiny.out.wait(id);
    CHECK_EQUAL(reply.result["finishReason"].get<std::string>(), "cancelled");
    CHECK(reply.tokens.size() >= 5 && reply.tokens.size() == reply.result["tokens"].get<size_t>());
    CHECK(!tiny.engine->cancel(id));
    CHECK(!tiny.engine->cancel(4711));
    // while it waits for a free sequence, and while its prompt is evaluated
    std::vector<int> ids;
    for (int i = 0; i < 6; ++i) {
        ids.push_back(tiny.send({ { "tokens", std::vector<int>(400, 300 + i) }, { "ignoreEndOfGeneration", true }, { "cachePrompt", false } }));
    }
    for (const int each : ids) {
        tiny.engine->cancel(each);
    }
    for (const int each : ids) {
        CHECK_EQUAL(tiny.out.wait(each).result["finishReason"].get<std::string>(), "cancelled");
    }
    // held back text is not lost by a cancellation
    const std::string whole = tiny.ask(request({ { "maxTokens", 40 } })).text();
    const int held = tiny.send(request({ { "ignoreEndOfGeneration", true }, { "stop", { whole.substr(0, 30) + "!never!" } } }));
    tiny.out.wait_for_tokens(held, 1);
    tiny.engine->cancel(held);
    const reply_seen kept = tiny.out.wait(held);
    std::string pieces;
    for (const int32_t token : kept.ids()) {
        pieces += moebius::token_piece(tiny.vocab(), token, false);
    }
    CHECK_EQUAL(kept.text(), pieces);
}

void check_duplicates(tiny_engine & tiny) {
    const int id    = tiny.send(request({ { "ignoreEndOfGeneration", true }, { "maxTokens", 300 } }));
    json      again = request({ { "generation", id }, { "model", 1 } });
    CHECK_THROWS(tiny.engine->generate(4712, again), moebius::user_error, error.code == "generation.duplicate");
    tiny.engine->cancel(id);
    tiny.out.wait(id);
}

// the decoder goes away while it works: every request is answered
void check_destruction() {
    tiny_engine      tiny;
    std::vector<int> ids;
    for (int i = 0; i < 6; ++i) {
        ids.push_back(tiny.send(request({ { "ignoreEndOfGeneration", true } })));
    }
    tiny.out.wait_for_tokens(ids[0], 3);
    tiny.engine.reset();
    for (const int id : ids) {
        CHECK_EQUAL(tiny.out.wait(id).result["finishReason"].get<std::string>(), "cancelled");
    }
}

}  // namespace

int main() {
    start_llama();
    tiny_engine tiny;
    check_length(tiny);
    check_stop_strings(tiny);
    check_end_of_generation(tiny);
    check_overflow(1);
    check_overflow(4);
    check_cancel(tiny);
    check_duplicates(tiny);
    check_destruction();
    return check_result();
}
