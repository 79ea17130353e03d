// The order of an epoch, which examples share a batch, going on from a cursor, and what a batch is made of.
#include "check.h"
#include "rpc/json-text.h"
#include "train/data/epoch-order.h"
#include "train/data/packed-batch.h"
#include "train/data/packing.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <random>
#include <set>

using namespace moebius;
using namespace moebius_test;

namespace {

using numbers = std::vector<uint64_t>;

numbers order_of(uint64_t seed, uint64_t epoch, uint64_t examples) {
    const epoch_order order(seed, epoch, examples);
    numbers           all;
    for (uint64_t i = 0; i < examples; i++) {
        all.push_back(order.example_at(i));
    }
    return all;
}

bool is_permutation(numbers of) {
    std::sort(of.begin(), of.end());
    for (uint64_t i = 0; i < of.size(); i++) {
        if (of[i] != i) {
            return false;
        }
    }
    return true;
}

void an_epoch_has_every_example_once() {
    for (uint64_t examples = 1; examples <= 260; examples++) {
        for (uint64_t seed = 0; seed < 4; seed++) {
            report(is_permutation(order_of(seed, examples % 7, examples)), __FILE__, __LINE__, std::to_string(examples) + " examples, seed " + std::to_string(seed));
        }
    }
    CHECK(is_permutation(order_of(5, 0, 1'000'003)));
    CHECK(epoch_order(1, 1, uint64_t(1) << 40).example_at((uint64_t(1) << 40) - 1) < uint64_t(1) << 40);
}

void orders_differ_by_seed_and_epoch() {
    std::set<numbers> orders;
    for (uint64_t seed = 0; seed < 20; seed++) {
        for (uint64_t epoch = 0; epoch < 20; epoch++) {
            orders.insert(order_of(seed, epoch, 100));
        }
    }
    CHECK_EQUAL(orders.size(), size_t(400));
    CHECK(order_of(3, 8, 1000) == order_of(3, 8, 1000));
}

// Counts of where things come to lie against what chance gives: chi-square of 99 degrees of freedom is below 160 but once in 10,000 times.
void orders_are_as_good_as_random() {
    constexpr uint64_t  examples = 100, draws = 20'000;
    std::vector<double> place(examples), follower(examples);
    for (uint64_t seed = 0; seed < draws; seed++) {
        const epoch_order order(seed, seed % 3, examples);
        place[order.example_at(17)]++;
        follower[(order.example_at(1) + examples - order.example_at(0)) % examples]++;
    }
    const auto chi_square = [&](const std::vector<double> & counts, size_t from) {
        const double expected = double(draws) / double(examples - from);
        return std::accumulate(counts.begin() + ptrdiff_t(from), counts.end(), 0.0, [&](double sum, double count) { return sum + (count - expected) * (count - expected) / expected; });
    };
    CHECK(chi_square(place, 0) < 160);
    CHECK_EQUAL(follower[0], 0.0);
    CHECK(chi_square(follower, 1) < 160);
}

packing_source source_of(const numbers & lengths) {
    return { lengths.size(), *std::max_element(lengths.begin(), lengths.end()), [lengths](uint64_t i) { return lengths[i]; } };
}

std::string text_of(const std::vector<numbers> & batches) { return json_text(json(batches)); }

std::vector<numbers> batches_of(packing & packed, size_t count) {
    std::vector<numbers> batches;
    for (size_t i = 0; i < count; i++) {
        batches.push_back(packed.next());
    }
    return batches;
}

void fits_best_within_the_look_ahead() {
    const numbers lengths{ 6, 5, 3, 4, 2, 9, 1 };
    packing       in_order({ 10, 1, 1, false }, source_of(lengths));
    CHECK_EQUAL(text_of(batches_of(in_order, 5)), "[[0],[1,2],[3,4],[5,6],[0]]");
    packing ahead({ 10, 4, 1, false }, source_of(lengths));
    CHECK_EQUAL(text_of(batches_of(ahead, 4)), "[[0,3],[1,2,4],[5,6],[0,3]]");
    CHECK_EQUAL(ahead.cursor().epoch, uint64_t(1));
    packing of_equals({ 10, 4, 1, false }, source_of({ 6, 4, 4, 4 }));
    CHECK_EQUAL(text_of(batches_of(of_equals, 2)), "[[0,1],[2,3]]");
}

struct random_case {
    packing_settings settings;
    numbers          lengths;

    explicit random_case(uint64_t seed) {
        std::mt19937_64 random(seed);
        settings = { 20 + random() % 200, 1 + random() % 20, random(), random() % 5 != 0 };
        for (uint64_t left = 1 + random() % 60; left > 0; left--) {
            lengths.push_back(1 + random() % (random() % 4 ? settings.batch_tokens / 4 : settings.batch_tokens));
        }
    }
    packing packed() const { return packing(settings, source_of(lengths)); }
};

void every_epoch_is_whole(uint64_t seed) {
    const random_case of(seed);
    packing           packed  = of.packed();
    const std::string failure = "seed " + std::to_string(seed);
    for (uint64_t epoch = 0; epoch < 3; epoch++) {
        numbers seen;
        while (packed.cursor().epoch == epoch) {
            const numbers batch = packed.next();
            uint64_t      tokens = 0;
            for (const uint64_t example : batch) {
                tokens += of.lengths[example];
            }
            report(!batch.empty() && tokens <= of.settings.batch_tokens, __FILE__, __LINE__, failure + ": a batch of " + std::to_string(tokens));
            seen.insert(seen.end(), batch.begin(), batch.end());
        }
        report(seen.size() == of.lengths.size() && is_permutation(seen), __FILE__, __LINE__, failure + ": an epoch is not whole");
    }
}

void goes_on_from_a_cursor_exactly(uint64_t seed) {
    constexpr size_t  batches = 40;
    const random_case of(seed);
    packing           whole = of.packed();
    const auto        all   = batches_of(whole, batches);
    const size_t      stop  = seed % batches;
    packing           first = of.packed();
    batches_of(first, stop);
    const std::string saved    = json_text(first.cursor().to_json());
    packing           resumed = of.packed();
    batches_of(resumed, seed % 3);  // a restore forgets what was before
    resumed.restore(packing_cursor::from_json(json_parse(saved)));
    report(batches_of(resumed, batches - stop) == std::vector<numbers>(all.begin() + ptrdiff_t(stop), all.end()), __FILE__, __LINE__,
           "seed " + std::to_string(seed) + " goes on otherwise after " + std::to_string(stop) + " batches");
    report(json_text(resumed.cursor().to_json()) == json_text(whole.cursor().to_json()), __FILE__, __LINE__, "seed " + std::to_string(seed) + " ends elsewhere");
}

void nobody_waits_longer_than_the_look_ahead() {
    numbers         lengths;
    std::mt19937_64 random(3);
    for (int i = 0; i < 2000; i++) {
        lengths.push_back(random() % 10 == 0 ? 990 : 100 + random() % 50);
    }
    packing                      packed({ 1000, 8, 1, false }, source_of(lengths));
    std::map<uint64_t, uint64_t> looked_at;  // position -> batch
    uint64_t                     most = 0, looked = 0;
    for (uint64_t batch = 0; packed.cursor().epoch == 0; batch++) {
        const numbers examples = packed.next();
        for (; looked < (packed.cursor().epoch == 0 ? packed.cursor().next : lengths.size()); looked++) {
            looked_at[looked] = batch;
        }
        for (const uint64_t example : examples) {
            most = std::max(most, batch - looked_at[example]);
        }
    }
    CHECK(most <= 8);
    CHECK(most > 0);
}

// Lengths of chats: log-normal, median 150, cut at the batch. Bars: what was measured, less a point.
void fills_batches() {
    std::mt19937_64                   random(1);
    std::lognormal_distribution<double> length(5.0, 0.8);
    numbers                           lengths;
    for (int i = 0; i < 20'000; i++) {
        lengths.push_back(uint64_t(std::min(2048.0, 1 + length(random))));
    }
    const double tokens = double(std::accumulate(lengths.begin(), lengths.end(), uint64_t(0)));
    const auto   fill   = [&](uint64_t look_ahead) {
        packing  packed({ 2048, look_ahead, 1, true }, source_of(lengths));
        uint64_t batches = 0;
        for (; packed.cursor().epoch == 0; batches++) {
            packed.next();
        }
        return tokens / double(batches * 2048);
    };
    for (const uint64_t look_ahead : { 1, 16, 64, 256 }) {
        std::printf("look-ahead %3d: %.4f of the tokens of batches are used\n", int(look_ahead), fill(look_ahead));
    }
    CHECK(fill(64) > 0.988);
    CHECK(fill(64) > fill(1));
}

void refuses_what_cannot_be() {
    const numbers    lengths{ 3, 4, 5 };
    packing_settings settings{ 10, 4, 1, true };
    const auto       packed = [&](uint64_t batch_tokens, uint64_t look_ahead) { return packing({ batch_tokens, look_ahead, 1, true }, source_of(lengths)); };
    CHECK_THROWS(packed(4, 4), user_error, error.code == "request.invalid" && std::string(error.what()).find("5 tokens") != std::string::npos);
    CHECK_THROWS(packed(10, 0), user_error, error.code == "request.invalid");
    CHECK_THROWS(packed(10, 1 << 20), user_error, error.code == "request.invalid");
    CHECK_THROWS(packing(settings, packing_source{}), user_error, error.code == "request.invalid");
    packing resumed(settings, source_of(lengths));
    for (const packing_cursor & cursor : { packing_cursor{ 0, 4, {} }, packing_cursor{ 0, 3, {} }, packing_cursor{ 0, 2, { 2 } }, packing_cursor{ 0, 2, { 1, 0 } },
                                           packing_cursor{ 0, 2, { 1, 1 } }, packing_cursor{ 0, 3, { 0, 1, 2, 2, 2 } } }) {
        CHECK_THROWS(resumed.restore(cursor), user_error, error.code == "request.invalid");
    }
    for (const char * text : { "[]", "{}", R"({"epoch":0,"next":1})", R"({"epoch":-1,"next":1,"waiting":[]})", R"({"epoch":0,"next":1,"waiting":["1"]})", R"({"epoch":0,"next":1.5,"waiting":[]})" }) {
        CHECK_THROWS(packing_cursor::from_json(json_parse(text)), user_error, error.code == "file.corrupt");
    }
}

dataset_example example_of(uint64_t number, const std::vector<dataset_sequence> & sequences, uint32_t prompt = 0) {
    dataset_example example{ number, {}, sequences };
    example.entry.prompt = prompt;
    return example;
}

void a_batch_is_what_passes_take() {
    const dataset_example chat   = example_of(4, { { { 10, 11, 12, 13 }, { 0, 0, 1, 1 } } });
    const dataset_example pair   = example_of(7, { { { 20, 21, 22 }, { 0, 0, 1 } }, { { 20, 21, 23, 24 }, { 0, 0, 1, 1 } } }, 2);
    const dataset_example turns  = example_of(1, { { { 30, 31, 32, 33, 34 }, { 0, 1, 0, 1, 0 } } });
    const packed_batch    packed = pack({ chat, pair, turns }, 20, target_weighting::tokens);
    const auto            equal  = [](const auto & found, const json & expected) { return json(found) == expected; };
    CHECK(equal(packed.batch.tokens, { 10, 11, 12, 13, 20, 21, 22, 20, 21, 23, 24, 30, 31, 32, 33, 34 }));
    CHECK(equal(packed.batch.positions, { 0, 1, 2, 3, 0, 1, 2, 0, 1, 2, 3, 0, 1, 2, 3, 4 }));
    CHECK(equal(packed.batch.rows, { 1, 2, 5, 8, 9, 11, 13 }));
    CHECK(equal(packed.batch.labels, { 12, 13, 22, 23, 24, 31, 33 }));
    CHECK(equal(packed.batch.weights, { 1, 1, 1, 1, 1, 1, 1 }));
    CHECK(equal(packed.batch.lengths, { 4, 3, 4, 5 }));
    CHECK_EQUAL(packed.pairs.size(), size_t(1));
    CHECK(packed.pairs[0].chosen == 1 && packed.pairs[0].rejected == 2 && packed.pairs[0].prompt == 2);
    const packed_sequence & rejected = packed.sequences[2];
    CHECK(rejected.example == 7 && rejected.begin == 7 && rejected.tokens == 4 && rejected.first_target == 3 && rejected.targets == 2);
    CHECK_NEAR(packed.fill(), 0.8, 1e-12);
    CHECK(equal(pack({ chat, pair }, 20, target_weighting::sequences).batch.weights, { 0.5, 0.5, 1, 0.5, 0.5 }));
    CHECK_THROWS(pack({ chat, pair, turns }, 15, target_weighting::tokens), user_error, error.code == "request.invalid");
}

// Through the files: every token that is learnt is a target once in an epoch, the one before it in its sequence predicts it, pairs are whole.
void an_epoch_of_a_dataset_learns_every_target() {
    dataset_file data(std::string(MOEBIUS_TEST_DATA) + "/encoded", "train");
    packing      packed({ 128, 16, 5, true }, packing_source_of(data));
    uint64_t     targets = 0, tokens = 0, pairs = 0;
    while (packed.cursor().epoch == 0) {
        const packed_batch read = read_batch(data, packed.next(), 128, target_weighting::tokens);
        targets += read.batch.rows.size();
        tokens += read.batch.tokens.size();
        pairs += read.pairs.size();
        for (const packed_sequence & sequence : read.sequences) {
            for (int64_t t = sequence.first_target; t < sequence.first_target + sequence.targets; t++) {
                const int64_t row = read.batch.rows[size_t(t)];
                CHECK(row >= sequence.begin && row + 1 < sequence.begin + sequence.tokens);
                CHECK_EQUAL(read.batch.tokens[size_t(row) + 1], read.batch.labels[size_t(t)]);
            }
        }
        for (const packed_pair & pair : read.pairs) {
            CHECK_EQUAL(read.sequences[pair.chosen].example, read.sequences[pair.rejected].example);
        }
    }
    CHECK_EQUAL(targets, data.targets());
    CHECK_EQUAL(tokens, data.tokens());
    CHECK_EQUAL(pairs, data.pairs());
}

}  // namespace

int main() {
    an_epoch_has_every_example_once();
    orders_differ_by_seed_and_epoch();
    orders_are_as_good_as_random();
    fits_best_within_the_look_ahead();
    for (uint64_t seed = 0; seed < 400; seed++) {
        every_epoch_is_whole(seed);
        goes_on_from_a_cursor_exactly(seed);
    }
    nobody_waits_longer_than_the_look_ahead();
    fills_batches();
    refuses_what_cannot_be();
    a_batch_is_what_passes_take();
    an_epoch_of_a_dataset_learns_every_target();
    return check_result();
}
