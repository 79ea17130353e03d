// Experts that are read before they are asked for: the same bits, and what the store counts of it.
#include "expert-runs.h"

using namespace moebius_test;

namespace {

void same_bits_with_prefetch() {
    const tiny    model;
    settings      how{ 0, "score", 1, 64 };
    const outcome stock = model.run(how, 200, 100);
    how.ram             = model.layout.experts * expert_slots_least_bytes(model.layout) / 8;  // a quarter
    const outcome off   = model.run(how, 200, 100);
    how.prefetch        = true;
    const outcome on    = model.run(how, 200, 100);
    CHECK(same_bits(off, stock));
    CHECK(same_bits(on, stock));
    for (uint32_t p = 0; p < expert_predictors; p++) {
        const prefetch_counters sum = on.prefetched[p].total();
        CHECK_EQUAL(off.prefetched[p].total().uses, 0u);
        CHECK_EQUAL(off.prefetched[p].total().read, 0u);
        CHECK(sum.right <= sum.uses && sum.used + sum.late + sum.wasted <= sum.read && sum.read <= sum.used + sum.late + sum.wasted + 16);
    }
    const prefetch_report & router = on.prefetched[size_t(expert_predictor::router)];
    CHECK_EQUAL(router.layers[0].uses, 0u);            // no layer is below it
    CHECK(router.total().right * 2 > router.total().uses);  // of 2 in 32 experts at random: a sixteenth
    const prefetch_report & tokens = on.prefetched[size_t(expert_predictor::tokens)];
    CHECK(tokens.layers[0].right * 2 > tokens.layers[0].uses);
}

// One of them foretells while the others compute.
void same_bits_with_several_threads() {
    const tiny    model;
    settings      how{ 0, "score", 1, 64 };
    const outcome stock = model.run(how, 100, 24);
    how.ram             = model.layout.experts * expert_slots_least_bytes(model.layout) / 8;
    how.threads         = 2;
    how.prefetch        = true;
    CHECK(same_bits(model.run(how, 100, 24), stock));
}

// Four layers of eight experts of random bytes, one matrix each.
struct layered_file {
    static constexpr uint32_t layers = 4, experts = 8, bytes = 9000;
    std::string               path = (std::filesystem::temp_directory_path() / "moebius-expert-prefetch-test.bin").u8string();
    std::vector<uint8_t>      data;
    expert_layout             layout;

    layered_file() : data(layers * experts * bytes) {
        std::mt19937 random(5);
        for (uint8_t & byte : data) {
            byte = uint8_t(random());
        }
        std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char *>(data.data()), std::streamsize(data.size()));
        layout.files   = { path };
        layout.experts = experts;
        layout.used    = 1;
        for (uint32_t layer = 0; layer < layers; layer++) {
            layout.layers.push_back({ int32_t(layer), { { expert_matrix::down, GGML_TYPE_F32, 1, 1, 0, uint64_t(layer) * experts * bytes, bytes } }, {} });
        }
    }
    ~layered_file() { std::filesystem::remove(path); }

    bool is_expert(const uint8_t * found, uint32_t layer, uint32_t expert) const {
        return found && std::memcmp(found, data.data() + (size_t(layer) * experts + expert) * bytes, bytes) == 0;
    }
};

// A batch that uses one expert of each layer; `propose` is told the next layer and what it will use. Some time is spent on each.
template <typename Propose> void run_batch(expert_store & store, const layered_file & file, std::mt19937 & random, Propose && propose) {
    const std::lock_guard<std::mutex> lock(store.session);
    uint32_t                          next = random() % layered_file::experts;
    for (uint32_t layer = 0; layer < layered_file::layers; layer++) {
        const uint32_t          expert = next;
        std::vector<expert_use> uses   = { { expert, 1, 1.0f } };
        next                           = random() % layered_file::experts;
        store.begin(layer, uses);
        if (layer + 1 < layered_file::layers) {
            propose(layer + 1, next);
        }
        CHECK(file.is_expert(store.wait(layer, expert, 0), layer, expert));
        store.finish(layer, expert);
        std::this_thread::sleep_for(std::chrono::microseconds(700));
    }
}

void a_predictor_that_is_useless_is_switched_off() {
    constexpr uint32_t batches = 300;
    const layered_file file;
    const uint64_t     ram = 3 * expert_slots_least_bytes(file.layout) / 2;
    expert_store       off(file.layout, { ram, "lru", 2, false }), on(file.layout, { ram, "lru", 2, true });
    std::mt19937       same(1), again(1), nonsense(2);
    for (uint32_t i = 0; i < batches; i++) {
        run_batch(off, file, same, [](uint32_t, uint32_t) {});
    }
    uint32_t asked = 0;
    for (uint32_t i = 0; i < batches; i++) {
        asked += on.prefetch_depth(expert_predictor::tokens) > 0 ? 1 : 0;
        run_batch(on, file, again, [&](uint32_t layer, uint32_t expert) {
            on.propose(expert_predictor::router, layer, { { expert, 0.9 } });
            on.propose(expert_predictor::tokens, layer, { { uint32_t(nonsense() % layered_file::experts), 0.9 } });
        });
    }
    const std::vector<prefetch_report> reports = on.prefetch_reports();
    const prefetch_report &            good = reports[size_t(expert_predictor::router)], & bad = reports[size_t(expert_predictor::tokens)];
    CHECK(asked < batches * 2 / 3);
    CHECK(bad.total().wasted > bad.total().used + bad.total().late);
    CHECK(bad.lost > bad.saved);
    CHECK_EQUAL(good.total().right, good.total().uses);
    CHECK(good.saved > 0.0 && good.total().read > 0);
    CHECK_EQUAL(off.counters().total().late, 0u);
    CHECK(on.counters().total().misses < off.counters().total().misses);
}

// Three that nobody wants are named for each layer just before a batch comes there, to one reader: most are still in the queue then. Whoever
// left for them is where it was, with its bytes.
void what_a_batch_has_overtaken_is_not_read() {
    const layered_file file;
    expert_store       store(file.layout, { 2 * expert_slots_least_bytes(file.layout), "lru", 1, true });
    std::mt19937       random(6);
    CHECK(store.fill([](uint64_t, uint64_t) { return true; }));
    for (int batch = 0; batch < 100; batch++) {
        const std::lock_guard<std::mutex> lock(store.session);
        for (uint32_t layer = 0; layer < layered_file::layers; layer++) {
            std::vector<expert_use> uses  = { { uint32_t(random() % layered_file::experts), 1, 1.0f } };
            const uint32_t          first = uses[0].expert;
            store.propose(expert_predictor::router, layer, { { (first + 1) % 8, 0.9 }, { (first + 2) % 8, 0.9 }, { (first + 3) % 8, 0.9 } });
            store.begin(layer, uses);
            CHECK(file.is_expert(store.wait(layer, first, 0), layer, first));
            store.finish(layer, first);
        }
    }
    uint64_t held = 0;
    for (uint32_t layer = 0; layer < layered_file::layers; layer++) {
        const std::lock_guard<std::mutex> lock(store.session);
        for (uint32_t expert = 0; expert < layered_file::experts; expert++) {
            if (!store.here(layer)[expert]) {
                continue;
            }
            std::vector<expert_use> uses = { { expert, 1, 1.0f } };
            store.begin(layer, uses);
            CHECK(file.is_expert(store.wait(layer, expert, 0), layer, expert));
            store.finish(layer, expert);
            held++;
        }
    }
    const prefetch_counters router = store.prefetch_reports()[size_t(expert_predictor::router)].total();
    CHECK(held > 0);
    CHECK(router.withdrawn > 10);
    CHECK(router.used + router.late + router.wasted <= router.read);
}

// Proposals come from another thread than batches, while a third changes RAM, policy and mode.
void threads_propose_while_the_store_changes() {
    const layered_file file;
    expert_store       store(file.layout, { expert_slots_least_bytes(file.layout), "foresight", 3, true });
    std::atomic<bool>  stop{ false };
    std::thread        proposing([&] {
        std::mt19937 random(4);
        while (!stop) {
            store.propose(expert_predictor(random() % expert_predictors), random() % layered_file::layers, { { uint32_t(random() % layered_file::experts), 0.9 } });
            store.prefetch_reports();
            std::this_thread::sleep_for(std::chrono::microseconds(300));
        }
    });
    {
        reconfiguring storm(store);
        std::mt19937  random(3);
        for (int batch = 0; batch < 100; batch++) {
            run_batch(store, file, random, [](uint32_t, uint32_t) {});
        }
    }
    stop = true;
    proposing.join();
}

}  // namespace

int main() {
    a_predictor_that_is_useless_is_switched_off();
    what_a_batch_has_overtaken_is_not_read();
    threads_propose_while_the_store_changes();
    start_llama();
    same_bits_with_prefetch();
    same_bits_with_several_threads();
    return check_result();
}
