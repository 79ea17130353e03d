// Several requests at once, and cached prefixes: nobody sees anything of the others.
#include "check.h"
#include "decode-harness.h"

using namespace moebius_test;

namespace {

const char * const prompts[] = {
    "<|im_start|>user\nWhat is a dwarf?<|im_end|>\n<|im_start|>assistant\n",
    "In the beginning God created",
    "static int parse_args(int argc, char ** argv) {\n",
    "<|im_start|>user\nWhat is 3 + 4?<|im_end|>\n<|im_start|>assistant\n",
    "En el principio",
    "function main() {",
};

json request(const std::string & prompt, int count = 40) {
    return { { "prompt", prompt }, { "maxTokens", count }, { "sampling", greedy() } };
}

std::vector<reply_seen> one_by_one() {
    tiny_engine             tiny;
    std::vector<reply_seen> replies;
    for (const char * prompt : prompts) {
        json fresh           = request(prompt);
        fresh["cachePrompt"] = false;
        replies.push_back(tiny.ask(fresh));
    }
    return replies;
}

// six requests on four sequences: two wait
void check_at_once(const std::vector<reply_seen> & alone) {
    tiny_engine      tiny;
    std::vector<int> ids;
    for (const char * prompt : prompts) {
        ids.push_back(tiny.send(request(prompt)));
    }
    for (size_t i = 0; i < ids.size(); ++i) {
        const reply_seen reply = tiny.out.wait(ids[i]);
        CHECK(reply.ids() == alone[i].ids());
        CHECK_EQUAL(reply.text(), alone[i].text());
        const auto count = [&](const char * name) { return reply.result[name].get<uint64_t>(); };
        CHECK_EQUAL(reply.routed_tokens, count("promptTokens") - count("cachedTokens") + count("tokens") - 1);
    }
    CHECK_EQUAL(tiny.engine->running(), 0);
}

// a conversation that goes on: its prefix is reused, under a key and without, and through a copy from another slot
void check_prefixes() {
    tiny_engine       tiny, fresh;
    const std::string system = "In the beginning God created the heaven and the earth. And the earth was without form, and void; ";
    const auto        both   = [&](const std::string & prompt, const char * key) {
        json cached   = request(prompt, 16);
        json uncached = request(prompt, 16);
        uncached["cachePrompt"] = false;
        if (*key) {
            cached["cacheKey"] = key;
        }
        const reply_seen a = tiny.ask(cached), b = fresh.ask(uncached);
        CHECK(a.ids() == b.ids());
        CHECK_EQUAL(b.result["cachedTokens"].get<int>(), 0);
        return a;
    };
    const reply_seen first = both(system, "A");
    CHECK_EQUAL(first.result["cachedTokens"].get<int>(), 0);
    const reply_seen next = both(system + first.text() + " and then", "A");
    CHECK(next.result["cachedTokens"].get<int>() >= first.result["promptTokens"].get<int>());
    // another conversation with the same beginning: copied, and A keeps its own
    const reply_seen other = both(system + "parse_args(", "B");
    CHECK(other.result["cachedTokens"].get<int>() >= first.result["promptTokens"].get<int>() - 2);
    const reply_seen back = both(system + first.text() + " and then", "A");
    CHECK_EQUAL(back.result["cachedTokens"].get<int>(), back.result["promptTokens"].get<int>() - 1);
    const reply_seen shorter = both(system.substr(0, 40), "A");
    CHECK(shorter.result["cachedTokens"].get<int>() > 0);
    const reply_seen unnamed = both(system + "parse_args(", "");
    CHECK(unnamed.result["cachedTokens"].get<int>() > 0);
}

// more conversations than slots, for long: evictions must not mix them up
void check_many_conversations() {
    tiny_engine tiny, fresh;
    for (int round = 0; round < 3; ++round) {
        for (int n = 0; n < 7; ++n) {
            json ask        = request(std::string(prompts[n % 6]) + std::string(size_t(n + round), 'x'), 6);
            ask["cacheKey"] = "conversation " + std::to_string(n);
            json plain           = request(std::string(prompts[n % 6]) + std::string(size_t(n + round), 'x'), 6);
            plain["cachePrompt"] = false;
            CHECK(tiny.ask(ask).ids() == fresh.ask(plain).ids());
        }
    }
}

// long prompts beside a reply: everybody gets on, and the same comes out
void check_mixed_prefill() {
    tiny_engine tiny;
    std::string text;
    for (int i = 0; i < 60; ++i) {
        text += "And God said, Let there be light: and there was light. ";
    }
    const std::vector<llama_token> tokens = common_tokenize(tiny.vocab(), text, true, true);
    json long_one = { { "tokens", std::vector<llama_token>(tokens.begin(), tokens.begin() + 480) }, { "maxTokens", 8 }, { "sampling", greedy() } };
    const reply_seen alone = tiny.ask(long_one);
    long_one["cachePrompt"] = false;
    const int slow = tiny.send(request(prompts[1], 100));
    tiny.out.wait_for_tokens(slow, 5);
    const int a = tiny.send(long_one), b = tiny.send(long_one);
    CHECK(tiny.out.wait(a).ids() == alone.ids());
    CHECK(tiny.out.wait(b).ids() == alone.ids());
    CHECK_EQUAL(tiny.out.wait(slow).tokens.size(), 100u);
}

// A model that is loaded for one sequence: requests wait for each other, prefixes are reused, the same comes out.
void check_one_sequence(const std::vector<reply_seen> & alone) {
    moebius::load_options options = tiny_options();
    options.sequences             = 1;
    tiny_engine      tiny(options);
    std::vector<int> ids;
    for (const char * prompt : prompts) {
        ids.push_back(tiny.send(request(prompt)));
    }
    for (size_t i = 0; i < ids.size(); ++i) {
        CHECK(tiny.out.wait(ids[i]).ids() == alone[i].ids());
    }
    const reply_seen again = tiny.ask(request(prompts[5]));
    CHECK(again.ids() == alone[5].ids());
    CHECK(again.result["cachedTokens"].get<int>() > 0);
}

// The same logits, whatever is evaluated beside them. Batches of another size take other kernels, so sums are rounded otherwise;
// logits of another sequence's text would differ by whole units.
void check_logits_beside_others() {
    constexpr double rounding = 0.05;
    tiny_engine      tiny;
    for (const char * prompt : prompts) {
        const json       asked = { { "tokens", common_tokenize(tiny.vocab(), prompt, true, true) } };
        const reply_seen alone = tiny.logits(asked);
        std::vector<int> others;
        for (const char * other : { prompts[1], prompts[2], prompts[4] }) {
            json running                     = request(other, 60);
            running["ignoreEndOfGeneration"] = true;
            others.push_back(tiny.send(running));
        }
        tiny.out.wait_for_tokens(others.back(), 2);
        const reply_seen beside = tiny.logits(asked);
        double           most   = 0;
        CHECK_EQUAL(alone.logits.size(), beside.logits.size());
        for (size_t i = 0; i < std::min(alone.logits.size(), beside.logits.size()); ++i) {
            most = std::max(most, std::fabs(double(alone.logits[i]) - double(beside.logits[i])));
        }
        std::fprintf(stderr, "logits beside three others differ by %g\n", most);
        CHECK(most < rounding);
        for (const int id : others) {
            CHECK_EQUAL(tiny.out.wait(id).tokens.size(), 60u);
        }
    }
}

}  // namespace

int main() {
    start_llama();
    const std::vector<reply_seen> alone = one_by_one();
    check_at_once(alone);
    check_one_sequence(alone);
    check_logits_beside_others();
    check_prefixes();
    check_many_conversations();
    check_mixed_prefill();
    return check_result();
}
