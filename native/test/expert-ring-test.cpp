// Experts in a ring: the bits of stock llama.cpp, whatever fits; RAM that stays bounded; reading while others compute.
#include "expert-runs.h"

#include <fstream>

using namespace moebius_test;

namespace {

#if defined(__SANITIZE_THREAD__)
constexpr bool ram_is_ours = false;  // ThreadSanitizer takes some beside every byte that is used
#else
constexpr bool ram_is_ours = true;
#endif

// Layers of experts of two matrices each, random bytes.
struct made_file {
    std::string          path = (std::filesystem::temp_directory_path() / "moebius-expert-ring-test.bin").u8string();
    std::vector<uint8_t> bytes;
    expert_layout        layout;

    made_file(uint32_t layers, uint32_t experts, uint64_t part) : bytes(layers * experts * 2 * part + 77) {
        std::mt19937_64 random(8);
        for (size_t i = 0; i + 8 <= bytes.size(); i += 8) {
            const uint64_t value = random();
            std::memcpy(&bytes[i], &value, 8);
        }
        write();
        layout.files   = { path };
        layout.experts = experts;
        layout.used    = 1;
        for (uint32_t i = 0; i < layers; i++) {
            const uint64_t at = 77 + i * 2 * experts * part;
            layout.layers.push_back({ int32_t(i), { { expert_matrix::gate_up, GGML_TYPE_F32, 1, 1, 0, at, part }, { expert_matrix::down, GGML_TYPE_F32, 1, 1, 0, at + experts * part, part } }, {} });
        }
    }
    ~made_file() { std::filesystem::remove(path); }

    void write() const { std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char *>(bytes.data()), std::streamsize(bytes.size())); }
    bool is_part(const uint8_t * data, uint32_t layer, uint32_t expert, uint32_t part) const {
        const expert_part & of = layout.layers[layer].parts[part];
        return data && std::memcmp(data, &bytes[of.offset + expert * of.bytes], of.bytes) == 0;
    }
};

// A batch through one layer on two threads, each expert `work` long. false: something was not there or not right.
bool use(expert_ring & ring, const made_file & file, uint32_t layer, const std::vector<uint32_t> & experts, std::chrono::microseconds work = {}) {
    std::vector<expert_use> uses;
    for (const uint32_t expert : experts) {
        uses.push_back({ expert, 1, 1.0f });
    }
    const std::lock_guard<std::mutex> lock(ring.session);
    ring.begin(layer, uses);
    std::atomic<uint32_t> next{ 0 }, wrong{ 0 };
    const auto            run = [&] {
        for (uint32_t i = next++; i < uses.size(); i = next++) {
            for (uint32_t part = 0; part < 2; part++) {
                wrong += file.is_part(ring.wait(layer, uses[i].expert, part), layer, uses[i].expert, part) ? 0 : 1;
            }
            std::this_thread::sleep_for(work);
            ring.finish(layer, uses[i].expert);
        }
    };
    std::thread other(run);
    run();
    other.join();
    return wrong == 0;
}

bool is_reading(const expert_ring & ring) {
    for (const std::vector<expert_tier> & layer : ring.tiers()) {
        if (std::count(layer.begin(), layer.end(), expert_tier::moving) > 0) {
            return true;
        }
    }
    return false;
}

std::vector<uint32_t> all_of(uint32_t experts) {
    std::vector<uint32_t> list(experts);
    std::iota(list.begin(), list.end(), 0u);
    return list;
}

void whole_layers_are_read_ahead_while_others_compute() {
    const made_file file(4, 8, 50000);
    const uint64_t  slot = expert_ring_least_bytes(file.layout) / 3;
    expert_ring     ring(file.layout, { 12 * slot, "lru", 2, true });
    CHECK(ring.fill([](uint64_t, uint64_t) { return true; }));
    ring.restart_counters();
    for (int round = 0; round < 3; round++) {
        for (uint32_t layer = 0; layer < 4; layer++) {
            CHECK(use(ring, file, layer, all_of(8), std::chrono::milliseconds(5)));
        }
    }
    const expert_store_counters counters = ring.counters();
    CHECK_EQUAL(counters.total().hits + counters.total().late + counters.total().misses, 96u);
    CHECK(counters.total().misses < 10);  // the others had been read, or were on their way
    CHECK(counters.bytes_read > 6 * file.layout.bytes() / 3);
    CHECK(counters.bytes_hidden > counters.bytes_read * 7 / 10);  // nearly all arrived before it was waited for
    const prefetch_counters ahead = ring.prefetch_reports()[0].total();
    CHECK(ahead.used + ahead.late > 60);
    CHECK_EQUAL(ahead.wasted, 0u);  // every layer uses all of its experts
    CHECK(ahead.used + ahead.late <= ahead.read && ahead.read <= ahead.used + ahead.late + 12);
    ring.set_prefetch(false);
    ring.restart_counters();
    for (uint32_t layer = 0; layer < 4; layer++) {
        CHECK(use(ring, file, layer, all_of(8)));
    }
    CHECK_EQUAL(ring.prefetch_reports()[0].total().read, 0u);
}

void few_experts_are_read_on_demand_only() {
    const made_file file(3, 16, 3000);
    expert_ring     ring(file.layout, { expert_ring_least_bytes(file.layout), "lru", 2, true });
    for (uint32_t i = 0; i < 30; i++) {
        CHECK(use(ring, file, i % 3, { i % 16, (i * 7 + 1) % 16 == i % 16 ? 15 - i % 16 : (i * 7 + 1) % 16 }));
    }
    CHECK_EQUAL(ring.prefetch_reports()[0].total().read, 0u);
    CHECK_EQUAL(ring.counters().total().misses + ring.counters().total().hits, 60u);
    CHECK_EQUAL(ring.counters().bytes_read >= ring.counters().total().misses * 6000, true);
}

void a_file_cut_short_is_an_error_until_it_is_whole_again() {
    const made_file file(2, 4, 5000);
    expert_ring     ring(file.layout, { expert_ring_least_bytes(file.layout), "lru", 2, true });
    CHECK(use(ring, file, 1, all_of(4)));
    std::filesystem::resize_file(file.path, 10000);
    CHECK(!use(ring, file, 0, all_of(4)));
    CHECK(!use(ring, file, 1, all_of(4)));
    CHECK(ring.error().find("has become shorter") != std::string::npos);
    while (is_reading(ring)) {  // ahead, from a file that is about to be written
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    file.write();
    CHECK(use(ring, file, 0, all_of(4)));
    CHECK(use(ring, file, 1, all_of(4)));
}

void threads_share_a_ring_whose_ram_changes() {
    const made_file file(3, 6, 5000);
    expert_ring     ring(file.layout, { expert_ring_least_bytes(file.layout), "lru", 3, true });
    reconfiguring   storm(ring);
    std::mt19937    random(3);
    for (int batch = 0; batch < 400; batch++) {
        std::vector<uint32_t> experts;
        for (uint32_t expert = 0; expert < 6; expert++) {
            if (random() % 3 != 0) {
                experts.push_back(expert);
            }
        }
        CHECK(use(ring, file, uint32_t(batch) % 3, experts));
    }
    CHECK(storm.stop() > 0);
}

// VmHWM or VmRSS of this process, bytes; 0: the system does not tell.
uint64_t memory_line(const std::string & name) {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.compare(0, name.size(), name) == 0) {
            return std::stoull(line.substr(name.size() + 1)) * 1024;
        }
    }
    return 0;
}

void ram_stays_bounded() {
    const made_file file(4, 16, 500000);  // 64 MB
    const uint64_t  slot = expert_ring_least_bytes(file.layout) / 3;
    expert_ring     ring(file.layout, { 5 * slot, "lru", 2, true });
    CHECK_EQUAL(ring.slot_bytes(), 5 * slot);
    const uint64_t before = memory_line("VmRSS:");
    for (uint32_t layer = 0; layer < 8; layer++) {
        CHECK(use(ring, file, layer % 4, all_of(16)));
    }
    CHECK(ring.counters().bytes_read > 100000000);
    CHECK(memory_line("VmRSS:") < before + 5 * slot + (8u << 20));  // threads and what the allocator keeps
}

void too_little_ram_is_refused_with_the_numbers() {
    const tiny     model;
    const uint64_t least = expert_ring_least_bytes(model.layout);
    CHECK(least < expert_slots_least_bytes(model.layout));
    CHECK_THROWS(model.run({ least - 1 }, 10, 1), user_error,
                 error.code == "model.does-not-fit" && error.details["need"] == least && error.details["have"] == least - 1);
}

void same_bits_from_a_ring() {
    const tiny     model;
    const uint64_t least = expert_ring_least_bytes(model.layout);
    settings       how;
    how.batch           = 64;
    const outcome stock = model.run(how, 150, 24);
    for (const uint64_t ram : { least, 8 * least, expert_slots_most_bytes(model.layout) }) {
        how.ram           = ram;
        how.storage       = "ring";
        how.prefetch      = true;
        how.storm         = ram == 8 * least;
        how.threads       = ram == least ? 2 : 1;
        const outcome own = model.run(how, 150, 24);
        CHECK(same_bits(own, stock));
        CHECK(own.counters.total().hits + own.counters.total().late + own.counters.total().misses > 24 * 2 * model.layout.layers.size());
    }
    how             = settings{ least, "lru", 1, 64, true };  // less than a store takes: a ring without being asked for
    const outcome in_steps = model.run(how, 100, 8);
    how.ram         = 0;
    CHECK(same_bits(in_steps, model.run(how, 100, 8)));
}

}  // namespace

int main() {
    whole_layers_are_read_ahead_while_others_compute();
    few_experts_are_read_on_demand_only();
    a_file_cut_short_is_an_error_until_it_is_whole_again();
    threads_share_a_ring_whose_ram_changes();
    if (ram_is_ours) {
        ram_stays_bounded();
    }
    start_llama();
    too_little_ram_is_refused_with_the_numbers();
    same_bits_from_a_ring();
    return check_result();
}
