// Whose turn it is among sets of adapters. No model needed.
#include "check.h"
#include "decode/adapter-turns.h"

using namespace moebius;

namespace {

void one_set_has_every_turn() {
    adapter_turns turns;
    CHECK_EQUAL(turns.next({ "" }, 0), "");
    turns.changed(1000);
    CHECK_EQUAL(turns.next({ "" }, 1000000), "");
    CHECK_EQUAL(turns.next({ "a" }, 1000001), "a");
}

// 10 ms a turn, as a change takes 1 ms
void turns_go_round_and_are_as_long() {
    adapter_turns              turns;
    std::map<std::string, int> share;
    std::vector<std::string>   order;
    turns.changed(1000);
    for (int64_t now = 0; now < 90000; now += 1000) {
        const std::string key = turns.next({ "", "a", "b" }, now);
        share[key]++;
        if (order.empty() || order.back() != key) {
            order.push_back(key);
        }
    }
    CHECK(order == std::vector<std::string>({ "", "a", "b", "", "a", "b", "", "a", "b" }));
    CHECK(share["" ] == 30 && share["a"] == 30 && share["b"] == 30);
}

void nobody_waits_longer_than_a_quarter_of_a_second() {
    adapter_turns turns;
    turns.changed(5000000);
    CHECK_EQUAL(turns.next({ "", "a" }, 0), "");
    CHECK_EQUAL(turns.next({ "", "a" }, 249999), "");
    CHECK_EQUAL(turns.next({ "", "a" }, 250000), "a");
}

// Without knowing what a change costs every round is a turn.
void who_comes_back_is_the_last() {
    adapter_turns turns;
    CHECK_EQUAL(turns.next({ "a", "b" }, 0), "a");
    CHECK_EQUAL(turns.next({ "a", "b" }, 1), "b");
    CHECK_EQUAL(turns.next({ "b" }, 2), "b");       // a's requests have ended
    CHECK_EQUAL(turns.next({ "b", "c" }, 3), "c");  // who is new comes before who had a turn
    CHECK_EQUAL(turns.next({ "a", "b", "c" }, 4), "a");
    CHECK_EQUAL(turns.next({ "a", "b", "c" }, 5), "b");
    CHECK_EQUAL(turns.next({ "a", "c" }, 6), "c");
}

}  // namespace

int main() {
    one_set_has_every_turn();
    turns_go_round_and_are_as_long();
    nobody_waits_longer_than_a_quarter_of_a_second();
    who_comes_back_is_the_last();
    return moebius_test::check_result();
}
