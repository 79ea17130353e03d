// Weights keep addresses and bytes when they move to huge pages, all or none do, and who stops it keeps what was moved.
#include "check.h"
#include "decode-harness.h"
#include "model/huge-weights.h"

#include <llama-model.h>

using namespace moebius;
using namespace moebius_test;

namespace {

// FNV-1a over all weights in host memory, by address.
uint64_t fingerprint(const llama_model * model) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (const auto & [name, tensor] : llama_internal_get_tensor_map(model)) {
        const auto * bytes = static_cast<const uint8_t *>(tensor->data);
        for (size_t i = 0; i < ggml_nbytes(tensor); i++) {
            hash = (hash ^ bytes[i]) * 0x100000001b3u;
        }
        hash += reinterpret_cast<uintptr_t>(tensor->data);
    }
    return hash;
}

void same_bytes_at_the_same_addresses() {
    const llama_model_ptr model  = load_tiny();
    const uint64_t        before = fingerprint(model.get());
    uint64_t              last   = 0;
    CHECK_EQUAL(weights_to_huge_pages(model.get(), 1, [](uint64_t, uint64_t) { return true; }), 0u);  // no room
    const uint64_t moved = weights_to_huge_pages(model.get(), UINT64_MAX, [&](uint64_t bytes, uint64_t total) {
        CHECK(bytes >= last && bytes < total);
        last = bytes;
        return true;
    });
    CHECK_EQUAL(fingerprint(model.get()), before);
    CHECK(moved % (2u << 20) == 0);
#ifdef __linux__
    std::ifstream file("/sys/kernel/mm/transparent_hugepage/enabled");
    std::string   modes;
    if (std::getline(file, modes) && modes.find("[never]") == std::string::npos) {
        CHECK(moved > std::filesystem::file_size(MOEBIUS_TINY_MODEL) / 2);
        CHECK_EQUAL(weights_to_huge_pages(model.get(), UINT64_MAX, [](uint64_t, uint64_t) { return true; }), 0u);  // nothing is mapped any more
    } else {
        std::fprintf(stderr, "huge pages are switched off here: not all of this test ran\n");
    }
#endif
}

void stops_when_told() {
    const llama_model_ptr model  = load_tiny();
    const uint64_t        before = fingerprint(model.get());
    CHECK_EQUAL(weights_to_huge_pages(model.get(), UINT64_MAX, [](uint64_t, uint64_t) { return false; }), 0u);
    CHECK_EQUAL(fingerprint(model.get()), before);
}

// Greedy tokens of a model are those of one that was never moved; both end as they should.
void computes_the_same() {
    std::vector<llama_token> texts[2];
    for (const bool moves : { false, true }) {
        tiny_engine engine;
        if (moves) {
            weights_to_huge_pages(engine.model.get(), UINT64_MAX, [](uint64_t, uint64_t) { return true; });
        }
        std::vector<llama_token> prompt(64);
        for (size_t i = 0; i < prompt.size(); i++) {
            prompt[i] = llama_token(100 + 37 * i % 3000);
        }
        llama_context_params parameters = llama_context_default_params();
        parameters.n_threads = parameters.n_threads_batch = 1;  // more than there are cores would wait for each other
        llama_context * context  = llama_init_from_model(engine.model.get(), parameters);
        for (int step = 0; step < 16; step++) {
            llama_memory_clear(llama_get_memory(context), true);
            CHECK_EQUAL(llama_decode(context, llama_batch_get_one(prompt.data(), int32_t(prompt.size()))), 0);
            const float * logits = llama_get_logits_ith(context, -1);
            const auto    best   = std::max_element(logits, logits + llama_vocab_n_tokens(llama_model_get_vocab(engine.model.get())));
            prompt.push_back(llama_token(best - logits));
        }
        llama_free(context);
        texts[moves] = prompt;
    }
    CHECK(texts[0] == texts[1]);
}

}  // namespace

int main() {
    start_llama();
    same_bytes_at_the_same_addresses();
    stops_when_told();
    computes_the_same();
    return check_result();
}
