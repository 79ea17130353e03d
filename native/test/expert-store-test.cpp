// The experts' device gives the bits of stock llama.cpp, whatever its store holds: greedy tokens and logits of the tiny model.
#include "expert-runs.h"

using namespace moebius_test;

namespace {

void same_bits_whatever_is_in_ram() {
    const tiny    model;
    const outcome stock = model.run({}, 1200, 300);  // three batches of the prompt
    CHECK(!model.layout.empty());
    CHECK_EQUAL(stock.tokens.size(), 300u);
    const uint64_t least = expert_slots_least_bytes(model.layout);
    const uint64_t all   = model.layout.experts * least / 2;

    const outcome whole = model.run({ all }, 1200, 300);
    CHECK(same_bits(whole, stock));
    CHECK_EQUAL(whole.counters.total().misses, 0u);

    const outcome storm = model.run({ least }, 1200, 300);  // two slots a layer: nearly every use evicts
    CHECK(same_bits(storm, stock));
    CHECK(storm.counters.total().misses > 100);
    CHECK(storm.counters.bytes_read > 5 * model.layout.bytes());  // on demand or, where the disk has time, ahead of it

    const outcome half = model.run({ all / 2, "lfru" }, 1200, 300);
    CHECK(same_bits(half, stock));
    CHECK(half.counters.total().hits > 0 && half.counters.total().misses > 0 && half.counters.total().misses < storm.counters.total().misses);
}

void same_bits_with_every_policy_and_batch() {
    const tiny     model;
    const uint64_t least = expert_slots_least_bytes(model.layout);
    std::mt19937   random(1);
    for (const uint32_t batch : { 1u, 2 + uint32_t(random() % 64) }) {
        settings how;
        how.batch           = batch;
        const outcome stock = model.run(how, 100, 24);
        for (const std::string & policy : cache_policy_names()) {
            how.policy   = policy;
            how.ram      = least + random() % (2 * least);
            how.prefetch = batch > 1;
            CHECK(same_bits(model.run(how, 100, 24), stock));
        }
    }
}

void same_bits_with_several_threads() {
    const tiny     model;
    const uint64_t least = expert_slots_least_bytes(model.layout);
    settings       how;
    how.batch           = 32;
    const outcome stock = model.run(how, 100, 16);
    how.threads         = 2;
    CHECK(same_bits(model.run(how, 100, 16), stock));
    for (const bool prefetch : { false, true }) {
        how.ram      = prefetch ? 2 * least : least;
        how.policy   = prefetch ? "foresight" : "lru";
        how.prefetch = prefetch;
        CHECK(same_bits(model.run(how, 100, 16), stock));
    }
}

void same_bits_node_by_node() {
    const tiny     model;
    settings       how{ 0, "score", 1, 32, true };
    const outcome  stock = model.run(how, 100, 16);
    for (const uint64_t ram : { expert_slots_least_bytes(model.layout), model.layout.experts * expert_slots_least_bytes(model.layout) }) {
        how.ram = ram;
        CHECK(same_bits(model.run(how, 100, 16), stock));
    }
}

void same_bits_while_ram_and_policy_change() {
    const tiny     model;
    const uint64_t least = expert_slots_least_bytes(model.layout);
    for (const int threads : { 1, 2 }) {
        const uint32_t prompt = threads > 1 ? 100 : 1000, steps = threads > 1 ? 32 : 300;
        settings       how;
        const outcome  stock = model.run(how, prompt, steps);
        how.ram              = least;
        how.threads          = threads;
        how.storm            = true;
        how.prefetch         = true;
        const outcome  storm = model.run(how, prompt, steps);
        CHECK(same_bits(storm, stock));
        CHECK(storm.resizes > (threads > 1 ? 2u : 10u));
        CHECK(storm.counters.total().hits > 0 && storm.counters.total().misses > 0);
    }
}

void same_bits_with_experts_that_llama_has_loaded() {
    const tiny    model;
    const outcome stock  = model.run({}, 700, 40);
    settings      how;
    how.loaded           = true;
    const outcome loaded = model.run(how, 700, 40);
    CHECK(same_bits(loaded, stock));
    CHECK(!loaded.given_up);
    CHECK(loaded.ffns >= 42 * model.layout.layers.size());  // two batches of the prompt, 40 steps

    how.by_node            = true;  // unknown graphs are left to llama.cpp after the first
    const outcome in_steps = model.run(how, 700, 40);
    CHECK(same_bits(in_steps, stock));
    CHECK(in_steps.given_up);
    CHECK_EQUAL(in_steps.ffns, 0u);
}

void too_little_ram_is_refused_with_the_numbers() {
    const tiny     model;
    const uint64_t least = expert_slots_least_bytes(model.layout);
    settings       how{ least - 1 };
    how.storage = "slots";
    CHECK_THROWS(model.run(how, 10, 1), user_error,
                 error.code == "model.does-not-fit" && error.details["need"] == least && error.details["have"] == least - 1);
}

void the_estimate_counts_slots() {
    tiny           model;
    const uint64_t least   = expert_slots_least_bytes(model.layout);
    const json     json_options = { { "devices", json::array() }, { "expertRamBytes", least } };
    load_options   options = options_parse(&json_options, model.inspection);
    CHECK_EQUAL(fit_experts(model.file, model.inspection, options).total.experts, least);
    const json open = { { "devices", json::array() } };
    options         = options_parse(&open, model.inspection);
    CHECK(!options.expert_ram_bytes);
    fit_experts(model.file, model.inspection, options);
    CHECK_EQUAL(*options.expert_ram_bytes, 0u);  // it fits
}

// One layer of four experts, two matrices of 5000 bytes each, at an odd place of a file of random bytes; behind them once more as in a
// layout file, which is used or not.
struct small_file {
    std::string          path = (std::filesystem::temp_directory_path() / "moebius-expert-store-test.bin").u8string();
    std::vector<uint8_t> bytes;
    expert_layout        layout;

    static constexpr uint64_t packed_at = 40960, stride = 16384;

    explicit small_file(bool packed) : bytes(packed_at + 4 * stride) {
        std::mt19937 random(5);
        for (uint8_t & byte : bytes) {
            byte = uint8_t(random());
        }
        const std::vector<uint32_t> positions = { 2, 0, 3, 1 };
        for (uint32_t expert = 0; expert < 4; expert++) {
            std::copy_n(&bytes[123 + expert * 5000], 5000, &bytes[packed_at + positions[expert] * stride]);
            std::copy_n(&bytes[20123 + expert * 5000], 5000, &bytes[packed_at + positions[expert] * stride + 8192]);
        }
        write();
        layout.files   = { path };
        layout.experts = 4;
        layout.used    = 1;
        layout.layers  = { { 0, { { expert_matrix::gate_up, GGML_TYPE_F32, 1, 1, 0, 123, 5000 }, { expert_matrix::down, GGML_TYPE_F32, 1, 1, 0, 20123, 5000 } }, {} } };
        if (packed) {
            layout.layers[0].packed = { 0, packed_at, stride, positions };
        }
    }
    ~small_file() { std::filesystem::remove(path); }

    void write() const { std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char *>(bytes.data()), std::streamsize(bytes.size())); }
    bool is_part(const uint8_t * data, uint32_t expert, uint32_t part) const {
        return data && std::memcmp(data, bytes.data() + layout.layers[0].parts[part].offset + expert * 5000, 5000) == 0;
    }
};

// false: one of them could not be read
bool use(expert_store & store, const small_file & file, std::vector<uint32_t> experts) {
    std::vector<expert_use> uses;
    for (const uint32_t expert : experts) {
        uses.push_back({ expert, 1, 1.0f });
    }
    bool good = true;
    store.begin(0, uses);
    for (const expert_use & use : uses) {
        for (uint32_t part = 0; part < 2; part++) {
            good = file.is_part(store.wait(0, use.expert, part), use.expert, part) && good;
        }
        store.finish(0, use.expert);
    }
    return good;
}

void a_file_cut_short_is_an_error_until_it_is_whole_again(bool packed) {
    const small_file file(packed);
    expert_store     store(file.layout, { expert_slots_least_bytes(file.layout), "lru", 3, false });
    CHECK(use(store, file, { 0, 1, 2, 3 }));
    CHECK_EQUAL(store.counters().total().misses, 4u);
    std::filesystem::resize_file(file.path, 30000);
    CHECK(!use(store, file, { 0, 1, 2, 3 }));
    CHECK(store.error().find("has become shorter") != std::string::npos);
    std::vector<uint8_t> some(7000);
    CHECK_THROWS(store.read_tensor(0, 1, 12000, 7000, some.data()), user_error, error.code == "file.unreadable");
    file.write();
    CHECK(use(store, file, { 3, 2, 1, 0 }));
    store.read_tensor(0, 1, 12000, 7000, some.data());
    CHECK(std::memcmp(some.data(), file.bytes.data() + 20123 + 12000, 7000) == 0);
    CHECK_THROWS(expert_store({ { "/nowhere.gguf" }, file.layout.layers, 4, 1 }, { 1u << 20, "lru", 1, false }), user_error, error.code == "file.unreadable");
}

// The store alone, as the threads of a context use it: two finish the experts of a batch between them, while a third changes RAM and policy.
void threads_share_a_store_that_changes(bool packed) {
    const small_file file(packed);
    expert_store     store(file.layout, { expert_slots_least_bytes(file.layout), "lru", 3, false });
    reconfiguring    storm(store);
    std::mt19937     random(3);
    for (int batch = 0; batch < 400; batch++) {
        std::vector<expert_use> uses;
        for (uint32_t expert = 0; expert < 4; expert++) {
            if (random() % 2 == 0) {
                uses.push_back({ expert, 1, 1.0f });
            }
        }
        const std::lock_guard<std::mutex> lock(store.session);
        store.begin(0, uses);
        std::atomic<uint32_t> next{ 0 }, wrong{ 0 };
        const auto            work = [&] {
            for (uint32_t i = next++; i < uses.size(); i = next++) {
                for (uint32_t part = 0; part < 2; part++) {
                    wrong += file.is_part(store.wait(0, uses[i].expert, part), uses[i].expert, part) ? 0 : 1;
                }
                store.finish(0, uses[i].expert);
            }
        };
        std::thread other(work);
        work();
        other.join();
        CHECK_EQUAL(wrong.load(), 0u);
    }
    CHECK(storm.stop() > 0);
}

// Waits for the background.
std::vector<expert_tier> settled_tiers(const expert_store & store) {
    for (int i = 0; i < 1000; i++) {
        const std::vector<expert_tier> tiers = store.tiers()[0];
        if (std::count(tiers.begin(), tiers.end(), expert_tier::moving) == 0) {
            return tiers;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return {};
}

void ram_can_change(bool packed) {
    const small_file file(packed);
    const uint64_t   slot = expert_slot_bytes(file.layout.layers[0]);
    expert_store     store(file.layout, { 3 * slot, "lru", 2, false });
    CHECK(use(store, file, { 0, 1, 2 }));
    CHECK(use(store, file, { 0 }));
    using tiers = std::vector<expert_tier>;
    store.resize(2 * slot);  // 1 was used longest ago
    CHECK((settled_tiers(store) == tiers{ expert_tier::ram, expert_tier::disk, expert_tier::ram, expert_tier::disk }));
    CHECK_EQUAL(store.slot_bytes(), 2 * slot);
    CHECK(use(store, file, { 2, 0 }));
    CHECK_EQUAL(store.counters().total().misses, 3u);  // what stayed was moved whole
    store.resize(expert_slots_most_bytes(file.layout));
    CHECK((settled_tiers(store) == tiers(4, expert_tier::ram)));
    store.restart_counters();
    CHECK(use(store, file, { 0, 1, 2, 3 }));
    CHECK_EQUAL(store.counters().total().hits, 4u);
    CHECK_EQUAL(store.counters().bytes_read, 0u);
    CHECK_THROWS(store.resize(2 * slot - 1), user_error, error.code == "model.does-not-fit");
    store.resize(2 * slot);
    CHECK(use(store, file, { 3, 2, 1, 0 }));
    CHECK_EQUAL(store.counters().total().misses, 2u);
}

}  // namespace

int main() {
    for (const bool packed : { false, true }) {
        a_file_cut_short_is_an_error_until_it_is_whole_again(packed);
        ram_can_change(packed);
        threads_share_a_store_that_changes(packed);
    }
    start_llama();
    same_bits_whatever_is_in_ram();
    same_bits_with_every_policy_and_batch();
    same_bits_with_several_threads();
    same_bits_node_by_node();
    same_bits_while_ram_and_policy_change();
    same_bits_with_experts_that_llama_has_loaded();
    too_little_ram_is_refused_with_the_numbers();
    the_estimate_counts_slots();
    return check_result();
}
