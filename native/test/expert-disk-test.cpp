// Experts from a layout file: the bits of stock llama.cpp.
#include "experts/layout/layout-writer.h"
#include "expert-runs.h"

using namespace moebius_test;

namespace {

void same_bits_from_a_layout_file() {
    const auto  folder = std::filesystem::temp_directory_path() / "moebius-expert-store-test";
    const tiny  plain;
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    std::filesystem::copy_file(MOEBIUS_TINY_MODEL, folder / "model.gguf");
    const tiny    model((folder / "model.gguf").u8string());
    layout_orders orders = layout_orders_by_index(model.layout);
    std::mt19937  random(6);
    for (auto & order : orders) {
        std::shuffle(order.begin(), order.end(), random);
    }
    layout_write(model.layout, layout_fingerprint(model.file, model.layout), orders, layout_path_of(model.file), layout_flush, [](uint64_t, uint64_t) { return true; });
    settings       how{ 0, "score", 1, 64 };
    const outcome  stock = plain.run(how, 100, 24);
    const uint64_t least = expert_slots_least_bytes(model.layout);
    for (const uint64_t ram : { least, 3 * least }) {
        how.ram           = ram;
        how.storm         = ram > least;
        const outcome own = model.run(how, 100, 24);
        CHECK(own.packed);
        CHECK(same_bits(own, stock));
        CHECK(own.counters.total().misses > 50);
    }
    how.storm   = false;
    how.by_node = true;
    CHECK(same_bits(model.run(how, 100, 16), plain.run({ 0, "score", 1, 64, true }, 100, 16)));
    std::filesystem::remove_all(folder);
}

}  // namespace

int main() {
    start_llama();
    same_bits_from_a_layout_file();
    return check_result();
}
