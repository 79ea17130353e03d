// Held-back text: stop strings are never leaked, characters never cut. No model needed.
#include "check.h"
#include "decode/sampler.h"
#include "decode/text-stream.h"
#include "decode/utf8.h"

#include <limits>
#include <random>

using namespace moebius;

namespace {

std::string run(const std::vector<std::string> & stops, const std::vector<std::string> & pieces, std::vector<std::string> * releases = nullptr) {
    text_stream stream(stops);
    std::string all;
    for (const std::string & piece : pieces) {
        const std::string released(stream.push(piece));
        if (releases) {
            releases->push_back(released);
        }
        all += released;
    }
    return all + std::string(stream.finish());
}

void check_stops() {
    CHECK_EQUAL(run({ "END" }, { "abc E", "N", "D more" }), "abc ");
    CHECK_EQUAL(run({ "END" }, { "abc E", "N", "T" }), "abc ENT");
    CHECK_EQUAL(run({ "END" }, { "E", "N" }), "EN");  // the reply ended with a part of it
    CHECK_EQUAL(run({ "aab" }, { "a", "a", "a", "a", "b", "x" }), "aa");
    CHECK_EQUAL(run({ "\n\n", "\nUser:" }, { "hi\n", "User", ": x" }), "hi");
    CHECK_EQUAL(run({ "b", "abc" }, { "xabcx" }), "x");  // the earliest beginning wins
    std::vector<std::string> releases;
    run({ "END" }, { "abc E", "N", "T" }, &releases);
    CHECK_EQUAL(releases[0], "abc ");
    CHECK_EQUAL(releases[1], "");
    CHECK_EQUAL(releases[2], "ENT");
}

// random cuts of random text: what is released never holds a part of the stop string that then completes
void check_random_stops() {
    std::mt19937 random(7);
    for (int round = 0; round < 2000; ++round) {
        std::string text;
        for (int i = 0; i < 30; ++i) {
            text += char('a' + random() % 3);
        }
        const std::string        stop = text.substr(random() % 20, 2 + random() % 5);
        std::vector<std::string> pieces;
        for (size_t at = 0; at < text.size();) {
            const size_t length = 1 + random() % 4;
            pieces.push_back(text.substr(at, length));
            at += length;
        }
        CHECK_EQUAL(run({ stop }, pieces), text.substr(0, text.find(stop)));
    }
}

void check_utf8() {
    const std::string smile = "\xF0\x9F\x98\x80";
    for (size_t cut = 1; cut < 4; ++cut) {
        std::vector<std::string> releases;
        CHECK_EQUAL(run({}, { "a" + smile.substr(0, cut), smile.substr(cut) + "b" }, &releases), "a" + smile + "b");
        CHECK_EQUAL(releases[0], "a");
        CHECK_EQUAL(utf8_incomplete_tail(smile.substr(0, cut)), cut);
    }
    CHECK_EQUAL(utf8_incomplete_tail(smile), 0u);
    CHECK_EQUAL(utf8_incomplete_tail("\xC0"), 0u);          // never becomes a character
    CHECK_EQUAL(utf8_incomplete_tail("\xE0\x80"), 0u);      // overlong
    CHECK_EQUAL(run({}, { "x\xE2\x82" }), "x\xEF\xBF\xBD");  // never became whole
    CHECK_EQUAL(run({}, { "\xFF", "a" }), "\xEF\xBF\xBD" "a");
    CHECK_EQUAL(run({}, { "\xED\xA0\x80" }), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");  // a surrogate
    CHECK_EQUAL(run({ "\xC3\xA9!" }, { "caf\xC3", "\xA9", "!" }), "caf");
    CHECK_EQUAL(run({ "\xC3\xA9!" }, { "caf\xC3", "\xA9", "?" }), "caf\xC3\xA9?");
}

void check_greedy() {
    std::mt19937          random(3);
    std::vector<float>    logits(4099);
    const float           infinity = std::numeric_limits<float>::infinity();
    for (int round = 0; round < 200; ++round) {
        for (float & logit : logits) {
            logit = float(random() % 50);  // many ties: the first wins
        }
        CHECK_EQUAL(greedy_token(logits.data(), logits.size()), std::max_element(logits.begin(), logits.end()) - logits.begin());
    }
    std::fill(logits.begin(), logits.end(), std::numeric_limits<float>::quiet_NaN());
    CHECK_EQUAL(greedy_token(logits.data(), logits.size()), -1);
    logits[4098] = 1;
    CHECK_EQUAL(greedy_token(logits.data(), logits.size()), 4098);
    std::fill(logits.begin(), logits.end(), -infinity);
    CHECK_EQUAL(greedy_token(logits.data(), logits.size()), -1);
}

void check_top_logits() {
    std::mt19937                  random(5);
    std::vector<float>            logits(1003);
    std::vector<llama_token_data> top;
    for (int round = 0; round < 100; ++round) {
        for (float & logit : logits) {
            logit = float(random() % 300);
        }
        const std::vector<llama_token> never = { llama_token(random() % 1003), llama_token(random() % 1003) };
        std::vector<llama_token>       order;
        for (llama_token i = 0; i < 1003; ++i) {
            if (i != never[0] && i != never[1]) {
                order.push_back(i);
            }
        }
        std::stable_sort(order.begin(), order.end(), [&](llama_token a, llama_token b) { return logits[size_t(a)] > logits[size_t(b)]; });
        top_logits(logits.data(), logits.size(), 40, never, top);
        CHECK_EQUAL(top.size(), 40u);
        CHECK(std::equal(top.begin(), top.end(), order.begin(), [](const llama_token_data & a, llama_token b) { return a.id == b; }));
    }
    top_logits(logits.data(), 3, 40, {}, top);
    CHECK_EQUAL(top.size(), 3u);
}

void check_log_softmax() {
    const std::vector<float>  logits = { 1, 3, 2, 3, -50 };
    const log_softmax         chances(logits.data(), logits.size());
    double                    sum = 0;
    for (int i = 0; i < 5; ++i) {
        sum += std::exp(chances.of(i));
    }
    CHECK_NEAR(sum, 1, 1e-6);
    std::vector<token_choice> top;
    chances.top(3, top);
    CHECK(top.size() == 3 && top[0].token == 1 && top[1].token == 3 && top[2].token == 2);
    chances.top(64, top);
    CHECK_EQUAL(top.size(), 5u);
    chances.top(0, top);
    CHECK(top.empty());
}

}  // namespace

int main() {
    check_stops();
    check_random_stops();
    check_utf8();
    check_greedy();
    check_top_logits();
    check_log_softmax();
    return moebius_test::check_result();
}
