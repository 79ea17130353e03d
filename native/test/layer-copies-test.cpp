// Which copies of a layer's experts are in which slots: what is lacking gets a slot that nobody needs, and who stays when slots become fewer.
#include "check.h"
#include "experts/store/layer-copies.h"

#include <random>

using namespace moebius;

namespace {

constexpr uint32_t none = layer_copies::none;

const std::vector<double> idle(24, 0.0);

uint32_t without_copy(const layer_copies & copies) {
    return uint32_t(std::count(copies.there().begin(), copies.there().end(), 0u));
}

// As a tier makes them. Gives the most experts that had no copy while one was made.
uint32_t put_all(layer_copies & copies, const std::vector<double> & loads = idle) {
    uint32_t most = 0;
    while (const auto which = copies.lacking(loads)) {
        const uint32_t slot = copies.slot_for(which->device, loads);
        copies.withdraw(which->device, slot);
        most = std::max(most, without_copy(copies));
        copies.put(*which, slot);
    }
    return most;
}

void what_is_wanted_comes_and_replaces_what_is_not() {
    layer_copies copies(4, { 2, 1 });
    CHECK_EQUAL(copies.missing(), 0u);
    copies.want({ 1, 1, 2, 0 });
    CHECK_EQUAL(copies.missing(), 3u);
    put_all(copies);
    CHECK((copies.there() == layer_placement{ 1, 1, 2, 0 }));
    CHECK((copies.slots() == std::vector<std::vector<uint32_t>>{ { 0, 1, none, none }, { none, none, 0, none } }));
    copies.want({ 1, 0, 0, 3 });  // 3 on both: in the slots of 1 and 2
    CHECK_EQUAL(copies.missing(), 2u);
    CHECK_EQUAL(copies.slot_for(0, idle), 1u);
    CHECK_EQUAL(copies.slot_for(1, idle), 0u);
    put_all(copies);
    CHECK((copies.there() == layer_placement{ 1, 0, 0, 3 }));
    CHECK((copies.slots() == std::vector<std::vector<uint32_t>>{ { 0, none, none, 1 }, { none, none, none, 0 } }));
}

void what_cannot_be_had_is_not_tried_again() {
    layer_copies copies(2, { 1, 1 });
    copies.want({ 3, 0 });
    const auto which = copies.lacking(idle);
    CHECK(which && which->device == 0 && which->expert == 0);
    copies.want_no_more(*which);
    CHECK((copies.wanted() == layer_placement{ 2, 0 }));
    CHECK_EQUAL(copies.missing(), 1u);
    CHECK(copies.withdraw(0, 0) == false);
}

void those_that_stay_keep_their_order_when_slots_change() {
    layer_copies copies(6, { 4, 1 });
    copies.want({ 1, 3, 1, 1, 0, 0 });
    put_all(copies);
    const layer_copies::residents before = copies.empty(0, 2);
    CHECK((before == layer_copies::residents{ 0, 1, 2, 3 }));
    CHECK((copies.there() == layer_placement{ 0, 2, 0, 0, 0, 0 }));  // nobody begins to use what is about to move
    CHECK((copies.counts() == std::vector<uint32_t>{ 2, 1 }));
    CHECK_EQUAL(copies.size(0), 4u);
    copies.want({ 0, 3, 0, 1, 0, 0 });
    const std::vector<slot_move> kept = copies.kept(0, before);
    const auto                   now  = layer_copies::moved(before, kept, 2);
    CHECK((now == layer_copies::residents{ 1, 3 }));
    copies.refill(0, now);
    CHECK((copies.there() == layer_placement{ 0, 3, 0, 1, 0, 0 }));
    CHECK_EQUAL(copies.slots()[0][3], 1u);
    const layer_copies::residents more = copies.empty(0, 3);
    copies.refill(0, layer_copies::moved(more, copies.kept(0, more), 3));
    CHECK_EQUAL(copies.size(0), 3u);
    CHECK_EQUAL(copies.missing(), 0u);
}

void all_are_back_where_they_were_if_it_fails() {
    layer_copies copies(3, { 3 });
    copies.want({ 1, 1, 1 });
    put_all(copies);
    const layer_placement         there = copies.there();
    const layer_copies::residents before = copies.empty(0, 1);
    copies.want({ 0, 1, 0 });
    copies.refill(0, before);
    CHECK(copies.there() == there);
    CHECK((copies.counts() == std::vector<uint32_t>{ 3 }));
}

// Every slot of some devices has an expert of its own, and all are to be elsewhere.
void at_most_one_expert_has_no_copy_while_others_change_places() {
    std::mt19937 random(24);
    for (int round = 0; round < 300; round++) {
        const uint32_t        devices = 2 + random() % 4, experts = devices + random() % 20;
        std::vector<uint32_t> slots(devices, 1);
        layer_placement       from, to;
        std::vector<double>   loads;
        for (uint32_t slot = devices; slot < experts; slot++) {
            slots[random() % devices]++;
        }
        for (uint32_t d = 0; d < devices; d++) {
            from.insert(from.end(), slots[d], 1u << d);
        }
        to = from;
        std::shuffle(to.begin(), to.end(), random);
        for (uint32_t e = 0; e < experts; e++) {
            loads.push_back(double(random() % 50));
        }
        layer_copies copies(experts, slots);
        copies.want(from);
        put_all(copies, loads);
        copies.want(to);
        CHECK(put_all(copies, loads) <= 1);
        CHECK(copies.there() == to);
        for (uint32_t & count : slots) {  // with a slot to spare on each device nobody has to leave before it has another place
            count++;
        }
        layer_copies roomy(experts, slots);
        roomy.want(from);
        put_all(roomy, loads);
        roomy.want(to);
        CHECK_EQUAL(put_all(roomy, loads), 0u);
        CHECK_EQUAL(roomy.missing(), 0u);
    }
    layer_copies pair(2, { 1, 1 });
    pair.want({ 1, 2 });
    put_all(pair);
    pair.want({ 2, 1 });
    const auto which = pair.lacking({ 5, 9 });
    CHECK(which && which->device == 0 && which->expert == 1);  // the idler one has no copy meanwhile
}

// Random wishes and sizes: every slot and every copy know each other, and wishes are fulfilled.
void books_agree_whatever_happens() {
    std::mt19937          random(5);
    std::vector<uint32_t> sizes{ 5, 3, 0 };
    layer_copies          copies(8, sizes);
    for (int round = 0; round < 500; round++) {
        if (random() % 3 == 0) {
            const uint32_t device = random() % 3;
            sizes[device]         = random() % 6;
            const auto before     = copies.empty(device, sizes[device]);
            copies.want(layer_placement(8, 0));
            copies.refill(device, layer_copies::moved(before, copies.kept(device, before), sizes[device]));
        }
        layer_placement wanted(8, 0);
        for (uint32_t device = 0; device < 3; device++) {
            for (uint32_t i = 0, first = random() % 8; i < sizes[device]; i++) {
                wanted[(first + i) % 8] |= 1u << device;
            }
        }
        copies.want(wanted);
        put_all(copies);
        for (uint32_t device = 0; device < 3; device++) {
            CHECK_EQUAL(copies.size(device), sizes[device]);
            for (uint32_t expert = 0; expert < 8; expert++) {
                const bool wants = wanted[expert] >> device & 1, is_there = copies.there()[expert] >> device & 1;
                CHECK(!wants || is_there);
                CHECK_EQUAL(is_there, copies.slots()[device][expert] != none);
                CHECK(!is_there || copies.slots()[device][expert] < sizes[device]);
            }
        }
    }
}

}  // namespace

int main() {
    what_is_wanted_comes_and_replaces_what_is_not();
    what_cannot_be_had_is_not_tried_again();
    those_that_stay_keep_their_order_when_slots_change();
    all_are_back_where_they_were_if_it_fails();
    at_most_one_expert_has_no_copy_while_others_change_places();
    books_agree_whatever_happens();
    return moebius_test::check_result();
}
