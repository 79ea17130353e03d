// Adapter files: what stock llama.cpp makes of them, what comes back, and what damaged ones do.
#include "small-base.h"
#include "train-adapters.h"

#include "train/export/adapter-file.h"
#include "train/export/merge.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

using namespace moebius_test;

static bool always(uint64_t, uint64_t) {
    return true;
}

static std::string bytes_of(const std::string & path) {
    std::ifstream file(std::filesystem::u8path(path), std::ios::binary);
    return { std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>() };
}

static void what_is_written_comes_back(const gguf_model & base, const scratch_folder & folder) {
    const std::string path  = folder.path("adapter.gguf");
    const adapter     first = everywhere(base, 4, 8, 0.3f);
    adapter_write(first, path, GGML_TYPE_F32);
    CHECK(same_adapter(adapter_read(path, base), first));
    CHECK(!std::filesystem::exists(path + ".tmp"));
    const uint64_t f32 = std::filesystem::file_size(path);

    adapter_write(first, path, GGML_TYPE_F16);
    const adapter halves = adapter_read(path, base);
    CHECK(std::filesystem::file_size(path) < f32 * 6 / 10);
    adapter_write(halves, path, GGML_TYPE_F16);
    CHECK(same_adapter(adapter_read(path, base), halves));
}

// Every tensor another rank and scale: one file has one alpha.
static adapter different_scales(const gguf_model & base) {
    adapter_maker maker{ base };
    maker.pair("blk.0.attn_q.weight", 4, 8, 0.3f);
    maker.pair("blk.0.ffn_gate_exps.weight", 4, 8, 0.3f);
    maker.pair("blk.0.ffn_up_exps.weight", 2, 5, 0.3f);
    maker.pair("blk.0.ffn_down_exps.weight", 3, 6, 0.3f, true);
    maker.pair("blk.1.ffn_gate_inp.weight", 2, 0, 0.3f);
    return maker.made;
}

static double delta_at(const adapter & trained, size_t which, int64_t expert, int64_t row, int64_t column) {
    const adapted_tensor &  tensor = trained.tensors[which];
    const train_parameter & a = trained.parameters[tensor.a], & b = trained.parameters[tensor.b];
    double                  sum = 0;
    for (int64_t k = 0; k < tensor.lora_rank; k++) {
        sum += double(a.values[size_t((expert * a.n1 + k) * a.n0 + column)]) * double(b.values[size_t((expert * b.n1 + row) * b.n0 + k)]);
    }
    return sum * double(tensor.scale());
}

static void scales_that_differ_are_folded(const gguf_model & base, const scratch_folder & folder) {
    const std::string path  = folder.path("scales.gguf");
    const adapter     first = different_scales(base);
    adapter_write(first, path, GGML_TYPE_F32);
    const adapter read = adapter_read(path, base);
    for (size_t i = 0; i < first.tensors.size(); i++) {
        CHECK_EQUAL(read.tensors[i].lora_alpha, 8.0f);
        for (const int64_t at : { 0, 1, 7 }) {
            const double expected = delta_at(first, i, 0, at, at + 1);
            CHECK_NEAR(delta_at(read, i, 0, at, at + 1), expected, 1e-6 * (std::fabs(expected) + 0.1));  // a product more in F32
        }
    }
    CHECK_EQUAL(largest_of(read.parameters[read.tensors[4].b].values), 0.0);
}

// Model and adapter in F32: the merged weights are rounded once more, the sums are in another order. Seen: 1.6e-6.
constexpr double merged_tolerance = 1e-5;

static void stock_gives_the_merged_models_logits(const gguf_model & tiny, const scratch_folder & folder) {
    const std::string f32 = folder.path("base-f32.gguf"), file = folder.path("adapter.gguf"), merged = folder.path("merged-f32.gguf");
    merge_write(tiny, { tiny.architecture(), {}, {} }, merge_type_named("f32"), f32, 2, always);
    const std::vector<float> untouched = stock_logits(f32, "");
    CHECK(!untouched.empty());
    for (const bool is_different : { false, true }) {
        const adapter trained = is_different ? different_scales(tiny) : everywhere(tiny, 4, 8, 0.3f);
        adapter_write(trained, file, GGML_TYPE_F32);
        merge_write(tiny, trained, merge_type_named("f32"), merged, 2, always);
        const std::vector<float> adapted = stock_logits(f32, file), whole = stock_logits(merged, "");
        std::fprintf(stderr, "adapter against merged: %.2g of the largest logit, against the base: %.2g\n", share_of_difference(adapted, whole), share_of_difference(adapted, untouched));
        CHECK_NEAR(share_of_difference(adapted, whole), 0, merged_tolerance);
        CHECK(share_of_difference(adapted, untouched) > 100 * merged_tolerance);  // it does something
    }
    adapter_write(everywhere(tiny, 4, 8, 0), file, GGML_TYPE_F32);
    CHECK(stock_logits(f32, file) == untouched);
    CHECK(stock_logits(MOEBIUS_TINY_MODEL, file) == stock_logits(MOEBIUS_TINY_MODEL, ""));
}

static void stock_does_so_in_every_architecture(const scratch_folder & folder) {
    for (const small_base & of : small_bases()) {
        if (of.type != GGML_TYPE_F32 || of.is_fused) {  // fused ones are not loaded by llama.cpp
            continue;
        }
        const std::string path = write_small_base(of), file = folder.path("adapter.gguf"), merged = folder.path("merged.gguf");
        const gguf_model  base    = gguf_open(path);
        const adapter     trained = everywhere(base, 2, 4, 0.3f, of.latent.kv == 0);
        if (of.latent.kv > 0) {
            CHECK_THROWS(adapter_write(everywhere(base, 2, 4, 0.3f), file, GGML_TYPE_F32), user_error, error.code == "model.unsupported" && std::string(error.what()).find(".attn_") != std::string::npos);
        }
        adapter_write(trained, file, GGML_TYPE_F32);
        merge_write(base, trained, merge_type_named("f32"), merged, 2, always);
        const std::vector<float> adapted = stock_logits(path, file), whole = stock_logits(merged, "");
        std::fprintf(stderr, "adapter against merged, %s: %.2g, against the base: %.2g\n", of.name.c_str(), share_of_difference(adapted, whole),
                     share_of_difference(adapted, stock_logits(path, "")));
        CHECK_NEAR(share_of_difference(adapted, whole), 0, merged_tolerance);
        CHECK(share_of_difference(adapted, stock_logits(path, "")) > 100 * merged_tolerance);
        std::filesystem::remove(std::filesystem::u8path(path));
    }
}

static void what_a_file_cannot_hold_is_refused(const gguf_model & base, const scratch_folder & folder) {
    const std::string path = folder.path("refused.gguf");
    adapter_maker     whole{ base };
    whole.pair("blk.0.attn_q.weight", 4, 8, 0.3f);
    whole.whole("blk.0.ffn_gate_inp.weight", 1);
    whole.whole("output_norm.weight", 1);
    CHECK_THROWS(adapter_write(whole.made, path, GGML_TYPE_F32), user_error,
                 error.code == "model.unsupported" && std::string(error.what()).find("blk.0.ffn_gate_inp.weight, output_norm.weight") != std::string::npos);
    for (const char * name : { "token_embd.weight", "blk.0.attn_norm.weight" }) {
        adapter_maker unused{ base };
        unused.pair(name, 2, 2, 0.1f);
        CHECK_THROWS(adapter_write(unused.made, path, GGML_TYPE_F32), user_error, error.code == "model.unsupported");
    }
    adapter_maker latent{ base };
    latent.pair("blk.0.attn_q.weight", 2, 2, 0.1f);
    latent.made.architecture = "deepseek2";
    CHECK_THROWS(adapter_write(latent.made, path, GGML_TYPE_F32), user_error, error.code == "model.unsupported");
    adapter bad = everywhere(base, 2, 2, 0.1f);
    bad.parameters[3].values[5] = NAN;
    CHECK_THROWS(adapter_write(bad, path, GGML_TYPE_F32), user_error, error.code == "file.corrupt" && std::string(error.what()).find(bad.parameters[3].name) != std::string::npos);
    bad.parameters[3].values[5] = 1e6f;
    CHECK_THROWS(adapter_write(bad, path, GGML_TYPE_F16), user_error, error.code == "file.corrupt");
    CHECK(!std::filesystem::exists(path));
    CHECK(!std::filesystem::exists(path + ".tmp"));
}

static gguf_document small_adapter() {
    gguf_document d;
    d.put_string("general.type", "adapter");
    d.put_string("general.architecture", "qwen3moe");
    d.put_string("adapter.type", "lora");
    d.put_f32("adapter.lora.alpha", 4);
    d.add("blk.0.ffn_gate_exps.weight.lora_a", { 32, 2, 4 });
    d.add("blk.0.ffn_gate_exps.weight.lora_b", { 2, 32, 4 });
    return d;
}

static void refused(const std::string & code, const gguf_document & document, const gguf_model & base, const scratch_folder & folder) {
    const std::string path = folder.write("bad.gguf", document.file());
    CHECK_THROWS(adapter_read(path, base), user_error, error.code == code && std::string(error.what()).size() > 40);
}

static void bad_files_are_refused(const scratch_folder & folder) {
    const gguf_model base = gguf_open(folder.write("small.gguf", small_document().file()));
    CHECK_EQUAL(adapter_read(folder.write("good.gguf", small_adapter().file()), base).tensors.size(), size_t(1));
    const auto with = [&](const char * code, auto && change) {
        gguf_document d = small_adapter();
        change(d);
        refused(code, d, base, folder);
    };
    with("model.unsupported", [](gguf_document & d) { d.put_string("general.type", "model"); });
    with("model.unsupported", [](gguf_document & d) { d.put_string("adapter.type", "control_vector"); });
    with("model.unsupported", [](gguf_document & d) { d.put_u32("adapter.alora.invocation_tokens", 1); });
    with("request.invalid", [](gguf_document & d) { d.put_string("general.architecture", "llama"); });
    with("file.corrupt", [](gguf_document & d) { d.put_f32("adapter.lora.alpha", NAN); });
    with("file.corrupt", [](gguf_document & d) { d.put_u32("adapter.lora.alpha", 4); });
    with("file.corrupt", [](gguf_document & d) { d.tensors.pop_back(); });
    with("request.invalid", [](gguf_document & d) { d.tensors[0].name = "blk.9.ffn_gate_exps.weight.lora_a", d.tensors[1].name = "blk.9.ffn_gate_exps.weight.lora_b"; });
    with("model.unsupported", [](gguf_document & d) { d.add("blk.0.attn_norm.weight", { 32 }); });
    with("file.corrupt", [](gguf_document & d) { d.tensors.pop_back(), d.add("blk.0.ffn_gate_exps.weight.lora_b", { 3, 32, 4 }); });
    with("file.corrupt", [](gguf_document & d) { d.tensors.pop_back(), d.add("blk.0.ffn_gate_exps.weight.lora_b", { 2, 32, 3 }); });
    with("request.invalid", [](gguf_document & d) { d.tensors.clear(), d.add("blk.0.ffn_gate_exps.weight.lora_a", { 32, 2, 3 }), d.add("blk.0.ffn_gate_exps.weight.lora_b", { 2, 32, 3 }); });
    with("file.corrupt", [](gguf_document & d) { d.tensors.back().type = GGML_TYPE_BF16; });
    std::string numbers = small_adapter().file();
    const float nan     = NAN;
    std::memcpy(numbers.data() + numbers.size() - 4, &nan, 4);
    CHECK_THROWS(adapter_read(folder.write("nan.gguf", numbers), base), user_error, error.code == "file.corrupt");
}

static const std::vector<uint64_t> extremes = { 0, 1, 2, 3, 31, 33, 255, 4096, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x100000000, uint64_t(1) << 56, uint64_t(1) << 62, ~uint64_t(0) };

// One kind of damage: bits of header or data, a cut, a dimension, a number of eight bytes anywhere in the header.
static std::string damaged(const std::string & original, size_t header, uint64_t seed) {
    std::mt19937_64 random(seed);
    std::string     bytes = original;
    const auto      write = [&](size_t at, uint64_t value) { std::memcpy(bytes.data() + at, &value, sizeof(value)); };
    switch (seed % 5) {
        case 0:
            for (uint64_t flips = 1 + random() % 4; flips > 0; flips--) {
                bytes[random() % header] ^= char(1 << random() % 8);
            }
            break;
        case 1:
            bytes[header + random() % (bytes.size() - header)] ^= char(1 << random() % 8);
            break;
        case 2:
            bytes.resize(random() % bytes.size());
            break;
        case 3: {
            size_t name = bytes.find(".lora_", random() % header);
            name        = name == std::string::npos || name >= header ? bytes.find(".lora_") : name;
            write(name + 7 + 4 + 8 * (random() % 3), random() % 2 == 0 ? extremes[random() % extremes.size()] : random() % 64);
            break;
        }
        default:
            write(random() % (header - 8), extremes[random() % extremes.size()]);
    }
    return bytes;
}

static void mutants_end_in_an_answer_or_a_clear_error(const gguf_model & base, const scratch_folder & folder) {
    static const std::set<std::string> clear = { "file.not-gguf", "file.version", "file.truncated", "file.corrupt", "model.unsupported", "request.invalid" };
    const std::string                  path = folder.path("mutant.gguf");
    adapter_write(different_scales(base), path, GGML_TYPE_F32);
    const std::string original = bytes_of(path);
    const gguf_context_ptr parsed(gguf_init_from_file(path.c_str(), { true, nullptr }));
    std::map<std::string, int> results;
    for (uint64_t seed = 0; seed < 300; seed++) {
        folder.write("mutant.gguf", damaged(original, gguf_get_data_offset(parsed.get()), seed));
        try {
            adapter_read(path, base);
            results["read"]++;
        } catch (const user_error & error) {
            results[error.code]++;
            report(clear.count(error.code) > 0 && std::string(error.what()).size() > 25, __FILE__, __LINE__, "seed " + std::to_string(seed) + ": " + error.code + ": " + error.what());
        }
    }
    for (const auto & [result, times] : results) {
        std::fprintf(stderr, "%5d %s\n", times, result.c_str());
    }
    CHECK(results["read"] >= 30);
    CHECK(results["file.corrupt"] >= 60);
    CHECK(results["file.truncated"] >= 30);
}

int main() {
    llama_log_install();
    backends_load();
    const scratch_folder folder("moebius-adapters");
    const gguf_model     tiny = gguf_open(MOEBIUS_TINY_MODEL);
    what_is_written_comes_back(tiny, folder);
    scales_that_differ_are_folded(tiny, folder);
    what_a_file_cannot_hold_is_refused(tiny, folder);
    bad_files_are_refused(folder);
    mutants_end_in_an_answer_or_a_clear_error(tiny, folder);
    stock_gives_the_merged_models_logits(tiny, folder);
    stock_does_so_in_every_architecture(folder);
    return check_result();
}
