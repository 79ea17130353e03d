// Super experts: which ones the criterion names, and that a store never evicts them.
#include "experts/policy/super-experts.h"
#include "expert-runs.h"

using namespace moebius_test;

namespace {

using peak_table = std::vector<std::vector<float>>;

// 8 layers of 64 experts with peaks between 1 and 10.
peak_table ordinary() {
    std::mt19937 random(4);
    peak_table   peaks(8, std::vector<float>(64));
    for (std::vector<float> & layer : peaks) {
        for (float & peak : layer) {
            peak = 1.0f + 9.0f * float(random() % 1000) / 1000.0f;
        }
    }
    return peaks;
}

void ordinary_models_have_none() {
    CHECK(find_super_experts(ordinary()).empty());
    peak_table strong = ordinary();
    strong[7][3]      = 60.0f;  // far above the rest, and not massive
    CHECK(find_super_experts(strong).empty());
}

void massive_outputs_are_found_strongest_first() {
    peak_table peaks = ordinary();
    peaks[1][7]      = 900.0f;
    peaks[2][60]     = 4000.0f;
    peaks[3][5]      = 390.0f;  // below a tenth of the largest
    const auto found = find_super_experts(peaks);
    CHECK_EQUAL(found.size(), 2u);
    CHECK(found[0].expert.layer == 2 && found[0].expert.expert == 60 && found[0].peak == 4000.0f);
    CHECK(found[1].expert.layer == 1 && found[1].expert.expert == 7);
}

void no_more_than_one_in_two_hundred() {
    peak_table peaks = ordinary();
    for (uint32_t expert = 0; expert < 10; expert++) {
        peaks[0][expert] = 1000.0f + float(expert);
    }
    CHECK_EQUAL(find_super_experts(peaks).size(), 3u);  // of 512
}

void nothing_is_said_before_half_of_them_were_seen() {
    peak_table peaks(8, std::vector<float>(64, 0.0f));
    CHECK(!enough_peaks(peaks));
    for (uint32_t layer = 0; layer < 4; layer++) {
        std::fill(peaks[layer].begin(), peaks[layer].end(), 1.0f);
        peaks[0][0] = 1000.0f;
        CHECK(enough_peaks(peaks) == (layer == 3));
        CHECK_EQUAL(find_super_experts(peaks).size(), layer == 3 ? 1u : 0u);
    }
    CHECK(!enough_peaks({}));
}

void protected_experts_stay_whatever_comes() {
    for (const std::string & policy : cache_policy_names()) {
        const expert_cache_shape shape{ 2, 16, { 4, 3 } };
        slot_cache               cache(shape, cache_policy_make(policy, shape));
        cache.protect({ { 0, 5 }, { 0, 9 }, { 0, 11 }, { 1, 2 } });
        CHECK(cache.is_protected({ 0, 5 }) && cache.is_protected({ 0, 9 }) && !cache.is_protected({ 0, 11 }));  // two slots stay for the others
        CHECK(cache.is_protected({ 1, 2 }) && !cache.is_protected({ 1, 5 }));
        for (const expert_ref expert : { expert_ref{ 0, 5 }, expert_ref{ 0, 9 }, expert_ref{ 1, 2 } }) {
            cache.take(expert);
        }
        std::mt19937 random(6);
        for (int i = 0; i < 500; i++) {
            const expert_ref expert{ uint32_t(random() % 2), uint32_t(random() % 16) };
            cache.used(expert.layer, { { expert.expert, 1, 1.0f } });
            if (cache.slot_of(expert) == slot_cache::none) {
                CHECK(cache.take(expert) != slot_cache::none);
            }
            CHECK(cache.slot_of({ 0, 5 }) >= 0 && cache.slot_of({ 0, 9 }) >= 0 && cache.slot_of({ 1, 2 }) >= 0);
        }
        cache.resize(0, 3);  // one may be held now, the first
        CHECK(cache.slot_of({ 0, 5 }) >= 0 && cache.is_protected({ 0, 5 }) && !cache.is_protected({ 0, 9 }));
        cache.resize(0, 2);
        CHECK(!cache.is_protected({ 0, 5 }));
        cache.protect({});
        CHECK(!cache.is_protected({ 1, 2 }));
    }
}

void protected_experts_fill_free_slots_first() {
    const expert_cache_shape shape{ 1, 8, { 3 } };
    slot_cache               cache(shape, cache_policy_make("lfu", shape));
    cache.used(0, { { 1, 1, 1.0f }, { 2, 1, 1.0f } });
    cache.protect({ { 0, 6 } });
    CHECK((cache.wanted(0) == std::vector<uint32_t>{ 6, 2, 1 }));
}

// A copy of the tiny model in which one expert's down projection is multiplied.
struct planted_model {
    static constexpr uint32_t layer = 1, expert = 13;

    std::string path = (std::filesystem::temp_directory_path() / "moebius-super-experts-test.gguf").u8string();

    explicit planted_model(float factor) {
        const tiny          original;
        const expert_part & down = original.layout.layers[layer].parts.back();
        std::filesystem::copy_file(MOEBIUS_TINY_MODEL, path, std::filesystem::copy_options::overwrite_existing);
        std::vector<uint8_t> bytes(down.bytes);
        std::vector<float>   values(size_t(down.n_in * down.n_out));
        std::fstream         file(path, std::ios::binary | std::ios::in | std::ios::out);
        const auto           at = std::streamoff(down.offset + expert * down.bytes);
        file.seekg(at);
        file.read(reinterpret_cast<char *>(bytes.data()), std::streamsize(bytes.size()));
        if (down.type == GGML_TYPE_F32) {
            std::memcpy(values.data(), bytes.data(), bytes.size());
        } else {
            ggml_get_type_traits(down.type)->to_float(bytes.data(), values.data(), int64_t(values.size()));
        }
        for (float & value : values) {
            value *= factor;
        }
        CHECK_EQUAL(ggml_quantize_chunk(down.type, values.data(), bytes.data(), 0, down.n_out, down.n_in, nullptr), bytes.size());
        file.seekp(at);
        file.write(reinterpret_cast<const char *>(bytes.data()), std::streamsize(bytes.size()));
    }
    ~planted_model() { std::filesystem::remove(path); }
};

constexpr uint32_t prompt = 400, steps = 60;

void a_planted_one_is_found_and_stays() {
    const planted_model planted(2000.0f);
    const tiny          model(planted.path);
    settings            how;
    const outcome       stock = model.run(how, prompt, steps);
    how.ram                   = 3 * expert_slots_least_bytes(model.layout) / 2;  // three slots a layer: one is protected, every other use evicts
    const outcome three       = model.run(how, prompt, steps);
    CHECK(same_bits(three, stock));
    CHECK_EQUAL(three.supers->size(), 1u);
    CHECK(three.supers->front().expert.layer == planted_model::layer && three.supers->front().expert.expert == planted_model::expert);
    CHECK(three.supers_stay);
    CHECK(three.counters.total().misses > 200);
    how.ram           = expert_slots_least_bytes(model.layout);  // two slots: none can be spared
    const outcome two = model.run(how, prompt, steps);
    CHECK(same_bits(two, stock));
    CHECK_EQUAL(two.supers->size(), 1u);
    CHECK(!two.supers_stay);
    how.storm           = true;  // RAM and policy change meanwhile
    const outcome storm = model.run(how, prompt, steps);
    CHECK(same_bits(storm, stock));
    CHECK_EQUAL(storm.supers->size(), 1u);
}

void the_tiny_model_has_none() {
    const tiny model;
    settings   how;
    how.ram             = 3 * expert_slots_least_bytes(model.layout) / 2;
    const outcome three = model.run(how, prompt, steps);
    CHECK(three.supers && three.supers->empty());
}

}  // namespace

int main() {
    ordinary_models_have_none();
    massive_outputs_are_found_strongest_first();
    no_more_than_one_in_two_hundred();
    nothing_is_said_before_half_of_them_were_seen();
    protected_experts_stay_whatever_comes();
    protected_experts_fill_free_slots_first();
    start_llama();
    a_planted_one_is_found_and_stays();
    the_tiny_model_has_none();
    return moebius_test::check_result();
}
