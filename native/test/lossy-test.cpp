// Experts on disk that are computed in fewer bits or left out: who decides what, that the plumbing changes no bits by itself, and that all of it is counted.
#include "experts/layout/layout-file.h"
#include "expert-runs.h"
#include "lossy-runs.h"

using namespace moebius_test;

namespace {

using ids     = std::vector<int32_t>;
using weights = std::vector<float>;
constexpr expert_precision full = expert_precision::full, low = expert_precision::low, skipped = expert_precision::skipped;

// --- the decision

void ranks_by_weight() {
    const auto s = expert_unimportance({ 4, 2, 7, 1 }, { 0.125f, 0.5f, 0.25f, 0.125f }, 4);
    CHECK(s == std::vector<double>({ 0.75, 0.0, 0.5, 0.875 }));
    const auto alone = expert_unimportance({ 3, -1, -1, 5 }, { 1.0f, 9.0f, 9.0f, 0.0f }, 2);
    CHECK(alone == std::vector<double>(4, 0.0));
    const auto none = expert_unimportance({ 3, 5 }, { 1.0f, 0.0f }, 2);
    CHECK_EQUAL(none[1], 1.0);
}

void decides_about_misses_only() {
    const weights           w{ 0.5f, 0.25f, 0.25f };
    std::vector<bool>       at_hand(8, false);
    const auto              how = [&](const miss_thresholds & thresholds) { return substitute_misses({ 0, 1, 2 }, w, 3, at_hand, thresholds); };
    using list                  = std::vector<expert_precision>;
    CHECK(how({ 1, 1 }) == list({ full, full, full }));
    CHECK(how({ 0.5, 1 }) == list({ full, full, low }));
    CHECK(how({ 0.4, 0.7 }) == list({ full, low, skipped }));
    CHECK(how({ 1, 0 }) == list({ full, skipped, skipped }));
    at_hand[2] = true;
    CHECK(how({ 0.4, 0.7 }) == list({ full, low, full }));
}

void reads_for_one_token_serve_all() {
    const std::vector<bool> at_hand(8, false);
    // expert 1 is the first of the second token; expert 3 is low for the first and would be skipped for the third
    const ids     chosen{ 0, 1, 1, 3, 2, 3 };
    const weights w{ 0.6f, 0.4f, 0.6f, 0.4f, 0.9f, 0.1f };
    const auto    how = substitute_misses(chosen, w, 2, at_hand, { 0.5, 0.8 });
    CHECK(how == std::vector<expert_precision>({ full, full, full, low, full, low }));
}

void keeps_the_sum_of_weights() {
    ids     chosen{ 0, 1, 2, 3, -1, 5 };
    weights w{ 0.5f, 0.25f, 0.25f, 0.6f, 0.3f, 0.1f };
    skip_experts(chosen, w, 3, { full, skipped, full, full, full, full });
    CHECK(chosen == ids({ 0, -1, 2, 3, -1, 5 }));
    CHECK_NEAR(w[0], 2.0 / 3, 1e-6);
    CHECK_EQUAL(w[1], 0.0f);
    CHECK_NEAR(w[2], 1.0 / 3, 1e-6);
    CHECK(w[3] == 0.6f && w[5] == 0.1f);  // untouched
}

// --- in a model

void nothing_changes_at_the_extreme() {
    const folder  here("moebius-lossy-test");
    const tiny    model(copy_of_tiny(here));
    settings      how{ 0, "score", 1, 32 };
    const outcome stock = model.run(how, 60, 24);
    lossy_status  status;
    how.ram    = 2 * expert_slots_least_bytes(model.layout);
    how.before = [&](loaded_experts & experts) {
        set(experts, model.file, 1.0, std::vector<double>(model.layout.layers.size(), 1.0));
        wait_until_ready(experts);
    };
    how.after = [&](loaded_experts & experts) { status = experts.lossy.status(); };
    CHECK(same_bits(model.run(how, 60, 24), stock));
    CHECK(total_of(status).assignments > 60 * 2 * 3);
    CHECK_EQUAL(total_of(status).low + total_of(status).skipped + total_of(status).bytes_not_read, 0u);
    CHECK_EQUAL(status.bytes_read > 0, true);  // copies that fill their RAM
}

void the_file_holds_requantised_experts() {
    const folder             here("moebius-lossy-test");
    const tiny               model(copy_of_tiny(here));
    const low_precision_file file = low_precision_file_of(model.file, model.layout, "q3_k");
    CHECK(!low_precision_file_usable(file));
    CHECK(low_precision_file_write(file, model.layout, [](uint64_t, uint64_t) { return true; }) > 0);
    CHECK(low_precision_file_usable(file));
    low_precision_copies copies(file, expert_slots_most_bytes(file.layout));
    expert_store         store(model.layout, { expert_slots_most_bytes(model.layout), "lru", 1, false });
    for (const uint32_t expert : { 0u, 17u, 31u }) {
        for (uint32_t part = 0; part < 3; part++) {
            const expert_part &  from = model.layout.layers[2].parts[part], &into = file.layout.layers[2].parts[part];
            std::vector<uint8_t> original(from.bytes), expected(into.bytes), read(into.bytes);
            store.read_part(2, expert, part, original.data());
            requantise(from, original.data(), into, expected.data());
            copies.store.read_part(2, expert, part, read.data());
            CHECK(into.bytes < from.bytes / 2 && read == expected);
        }
    }
    std::filesystem::last_write_time(here.path / "model.gguf", std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
    CHECK(!low_precision_file_usable(low_precision_file_of(model.file, model.layout, "q3_k")));  // another model, for all that is known
}

// Where copies are the same bytes, all that is left of a substitution is who computes what.
void substitution_itself_changes_no_bits() {
    const folder here("moebius-lossy-test");
    const tiny   model(low_bit_model(here, GGML_TYPE_Q2_K));
    CHECK_EQUAL(model.layout.layers[0].parts[0].type, GGML_TYPE_Q2_K);
    for (const uint32_t batch : { 1u, 6u }) {
        settings      how{ 0, "score", 1, batch };
        const outcome stock = model.run(how, 40, 40);
        lossy_status  status;
        how.ram    = 3 * expert_slots_least_bytes(model.layout);
        how.before = [&](loaded_experts & experts) {
            set(experts, model.file, 0.0);
            wait_until_ready(experts);
            CHECK(experts.lossy.slot_bytes() <= how.ram);
        };
        how.after = [&](loaded_experts & experts) { status = experts.lossy.status(); };
        CHECK(same_bits(model.run(how, 40, 40), stock));
        const lossy_layer_counters sum = total_of(status);
        CHECK(sum.low > 50 && sum.low < sum.assignments / 2 && sum.skipped == 0);
        CHECK(sum.bytes_not_read > 0 && sum.bytes_not_read <= sum.low * model.layout.bytes() / (model.layout.layers.size() * model.layout.experts));
    }
}

void bits_stay_while_everything_changes() {
    const folder  here("moebius-lossy-test");
    const tiny    model(low_bit_model(here, GGML_TYPE_Q2_K));
    settings      how{ 0, "score", 1, 16 };
    const outcome stock = model.run(how, 100, 200);
    const uint64_t least = expert_slots_least_bytes(model.layout);
    how.ram              = 4 * least;
    how.prefetch         = true;
    std::atomic<bool>        done{ false };
    std::thread              storm;
    uint64_t                 changes = 0;
    lossy_status             status;
    how.before = [&](loaded_experts & experts) {
        storm = std::thread([&] {
            std::mt19937 random(5);
            while (!done) {
                const uint32_t kind = random() % 4;
                if (kind == 0) {
                    set(experts, model.file, std::nullopt);
                } else if (kind == 1) {
                    experts.lossy.resize((3 + random() % 8) * least);
                } else {
                    set(experts, model.file, double(random() % 3) / 4, {}, random() % 4 == 0 ? "q4_0" : "q2_k");
                }
                experts.store.set_prefetch(random() % 2 == 0);
                changes++;
                std::this_thread::sleep_for(std::chrono::milliseconds(random() % 10));
            }
        });
    };
    how.after = [&](loaded_experts & experts) {
        done = true;
        storm.join();
        status = experts.lossy.status();
    };
    CHECK(same_bits(model.run(how, 100, 200), stock));
    CHECK(changes > 3);
    CHECK(total_of(status).assignments > 0);
}

void skipped_ones_are_not_read() {
    const tiny    model;
    settings      how{ 2 * expert_slots_least_bytes(model.layout), "score", 1, 1 };
    const outcome plain = model.run(how, 40, 40);
    lossy_status  status;
    std::vector<lossy_uses> last;
    how.before = [&](loaded_experts & experts) { set(experts, model.file, std::nullopt, { 0.0, 1.0, 0.0, 1.0 }); };
    how.after  = [&](loaded_experts & experts) {
        status = experts.lossy.status();
        last   = experts.lossy.uses_of_tokens(1, { 0 });
    };
    const outcome skipping = model.run(how, 40, 40);
    CHECK(status.layers[0].skipped > 10 && status.layers[2].skipped > 10);
    CHECK_EQUAL(status.layers[1].skipped + status.layers[3].skipped + total_of(status).low, 0u);
    const uint64_t tokens = 81;  // one of them warms up
    CHECK_EQUAL(total_of(status).assignments, tokens * 4 * 2);
    CHECK(status.layers[0].skipped <= tokens);  // a token's first expert is never skipped, and there are two
    CHECK_EQUAL(skipping.counters.layers[0].hits + skipping.counters.layers[0].misses, 2 * tokens - status.layers[0].skipped);
    CHECK(skipping.counters.bytes_read < plain.counters.bytes_read);
    CHECK(!same_bits(skipping, plain));
    CHECK_EQUAL(last.size(), 1u);
    CHECK_EQUAL(last[0].assignments, 8u);
}

void says_what_does_not_fit() {
    const folder here("moebius-lossy-test");
    const tiny   model(copy_of_tiny(here));
    settings     how{ expert_slots_least_bytes(model.layout), "score", 1, 16 };
    how.before = [&](loaded_experts & experts) {
        CHECK_THROWS(set(experts, model.file, 0.5), user_error, std::string(error.what()).find(std::to_string(how.ram)) != std::string::npos);
        CHECK_THROWS(set(experts, model.file, std::nullopt, { 0.5 }), user_error, std::string(error.what()).find("4 with experts") != std::string::npos);
        CHECK(!experts.lossy.active());
    };
    model.run(how, 8, 2);
}

}  // namespace

int main() {
    start_llama();
    ranks_by_weight();
    decides_about_misses_only();
    reads_for_one_token_serve_all();
    keeps_the_sum_of_weights();
    nothing_changes_at_the_extreme();
    the_file_holds_requantised_experts();
    substitution_itself_changes_no_bits();
    bits_stay_while_everything_changes();
    skipped_ones_are_not_read();
    says_what_does_not_fit();
    return check_result();
}
