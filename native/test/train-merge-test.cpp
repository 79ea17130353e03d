// Merged models: weights against double precision, bytes that stay, types, splits, cancellation, full disks.
#include "train-adapters.h"

#include "train/export/adapter-file.h"
#include "train/export/merge.h"
#include "train/base/tensor-reader.h"

#include <filesystem>
#include <fstream>
#include <iterator>

using namespace moebius_test;

static bool always(uint64_t, uint64_t) {
    return true;
}

static std::vector<uint8_t> data_of(const gguf_model & model, const gguf_tensor & tensor) {
    std::vector<uint8_t> bytes(size_t(tensor.bytes));
    tensor_reader(model).read(tensor, 0, tensor.bytes, bytes.data());
    return bytes;
}

static std::vector<float> numbers_in(const gguf_model & model, const std::string & name) {
    return tensor_reader(model).numbers(*model.find_tensor(name));
}

// W + scale * (a b)^T in double precision, plain loops.
static std::vector<float> merged_by_hand(const gguf_model & base, const adapter & trained, const adapted_tensor & tensor) {
    std::vector<float>      weights = numbers_in(base, tensor.base);
    const train_parameter & a = trained.parameters[tensor.a], & b = trained.parameters[tensor.b];
    for (int64_t expert = 0; expert < a.n2; expert++) {
        for (int64_t row = 0; row < b.n1; row++) {
            for (int64_t column = 0; column < a.n0; column++) {
                double sum = 0;
                for (int64_t k = 0; k < a.n1; k++) {
                    sum += double(a.values[size_t((expert * a.n1 + k) * a.n0 + column)]) * double(b.values[size_t((expert * b.n1 + row) * b.n0 + k)]);
                }
                float & weight = weights[size_t((expert * b.n1 + row) * a.n0 + column)];
                weight         = float(double(weight) + double(tensor.scale()) * sum);
            }
        }
    }
    return weights;
}

static adapter some_tensors(const gguf_model & base) {
    adapter_maker maker{ base };
    maker.pair("blk.0.attn_k.weight", 3, 7, 0.2f);
    maker.pair("blk.1.ffn_gate_exps.weight", 4, 8, 0.2f);
    maker.pair("blk.1.ffn_down_exps.weight", 2, 3, 0.2f, true);
    maker.pair("blk.1.ffn_gate_inp.weight", 2, 4, 0.2f);
    maker.whole("output_norm.weight", 1);
    maker.whole("blk.0.ffn_gate_inp.weight", 1);
    return maker.made;
}

// The largest error as a share of the largest weight: half a step of the type's, 8 bits a block of its own scale for Q8_0.
static double step_of(ggml_type type) {
    switch (type) {
        case GGML_TYPE_F32:
            return 1e-6;
        case GGML_TYPE_F16:
            return 1.0 / 2048;
        case GGML_TYPE_BF16:
            return 1.0 / 256;
        default:
            return 1.0 / 127;  // Q8_0: half a step is 1 / 254 of the block's largest, and the scale itself is F16
    }
}

static void weights_are_what_they_should_be(const gguf_model & base, const scratch_folder & folder) {
    const adapter trained = some_tensors(base);
    for (const char * name : { "f32", "f16", "bf16", "q8_0", "same" }) {
        const std::string path = folder.path(std::string("merged-") + name + ".gguf");
        const uint64_t    bytes = merge_write(base, trained, merge_type_named(name), path, 2, always);
        CHECK_EQUAL(bytes, uint64_t(std::filesystem::file_size(path)));
        const gguf_model merged = gguf_open(path);
        for (const adapted_tensor & tensor : trained.tensors) {
            const std::vector<float> expected = merged_by_hand(base, trained, tensor);
            CHECK_NEAR(share_of_difference(numbers_in(merged, tensor.base), expected), 0, step_of(merged.find_tensor(tensor.base)->type));
        }
        for (const char * whole : { "output_norm.weight", "blk.0.ffn_gate_inp.weight" }) {
            CHECK(numbers_in(merged, whole) == trained.parameters[size_t(whole[0] == 'o' ? 8 : 9)].values);  // both are F32 in the base
        }
        CHECK(!stock_logits(path, "").empty());
    }
}

// Copied byte for byte, and so is all metadata.
static void what_is_not_trained_stays(const gguf_model & base, const scratch_folder & folder) {
    const std::string path    = folder.path("same.gguf");
    const adapter     trained = some_tensors(base);
    merge_write(base, trained, merge_type_named("same"), path, 1, always);
    const gguf_model merged = gguf_open(path);
    CHECK_EQUAL(merged.tensors.size(), base.tensors.size());
    size_t changed = 0;
    for (size_t i = 0; i < base.tensors.size(); i++) {
        CHECK(merged.tensors[i].name == base.tensors[i].name && merged.tensors[i].type == base.tensors[i].type && merged.tensors[i].ne == base.tensors[i].ne);
        changed += data_of(merged, merged.tensors[i]) == data_of(base, base.tensors[i]) ? 0 : 1;
    }
    CHECK_EQUAL(changed, size_t(6));
    CHECK_EQUAL(merged.metadata.size(), base.metadata.size());
    for (size_t i = 0; i < base.metadata.size(); i++) {
        CHECK(merged.metadata[i].first == base.metadata[i].first && merged.metadata[i].second.bytes == base.metadata[i].second.bytes &&
              merged.metadata[i].second.strings == base.metadata[i].second.strings);
    }
    const std::string threads = folder.path("threads.gguf");
    merge_write(base, trained, merge_type_named("same"), threads, 3, always);
    std::ifstream one(std::filesystem::u8path(path), std::ios::binary), three(std::filesystem::u8path(threads), std::ios::binary);
    CHECK(std::string(std::istreambuf_iterator<char>(one), {}) == std::string(std::istreambuf_iterator<char>(three), {}));
}

static void types_apply_to_matrices(const gguf_model & base, const scratch_folder & folder) {
    for (const merge_type & type : merge_types()) {
        const std::string path = folder.path("type.gguf");
        merge_write(base, some_tensors(base), type, path, 2, always);
        const gguf_model merged = gguf_open(path);
        for (const gguf_tensor & tensor : merged.tensors) {
            const gguf_tensor & from     = *base.find_tensor(tensor.name);
            const bool          is_small = tensor.name.find("norm") != std::string::npos || tensor.name.find("ffn_gate_inp") != std::string::npos;
            const bool          fits     = type.type && from.ne[0] % ggml_blck_size(*type.type) == 0;
            CHECK_EQUAL(ggml_type_name(tensor.type), ggml_type_name(is_small || !fits ? from.type : *type.type));
        }
        CHECK(!type.type || merged.find("general.file_type")->integer() == int64_t(type.file_type));
        CHECK(!stock_logits(path, "").empty());
    }
    CHECK_THROWS(merge_type_named("iq1_s"), user_error, error.code == "request.invalid" && std::string(error.what()).find("q8_0") != std::string::npos);
}

// Two parts of llama.cpp's naming, written with its library.
static void write_part(const gguf_model & base, const std::string & path, uint16_t number, size_t first, size_t end) {
    const gguf_context_ptr part(gguf_init_empty());
    const gguf_context_ptr source(gguf_init_from_file(base.files[0].c_str(), { true, nullptr }));
    const ggml_context_ptr tensors(ggml_init({ size_t(64) << 20, nullptr, false }));
    if (number == 0) {
        gguf_set_kv(part.get(), source.get());
    }
    gguf_set_val_u16(part.get(), "split.no", number);
    gguf_set_val_u16(part.get(), "split.count", 2);
    gguf_set_val_i32(part.get(), "split.tensors.count", int32_t(base.tensors.size()));
    for (size_t i = first; i < end; i++) {
        ggml_tensor *              tensor = ggml_new_tensor(tensors.get(), base.tensors[i].type, 4, base.tensors[i].ne.data());
        const std::vector<uint8_t> data   = data_of(base, base.tensors[i]);
        std::memcpy(tensor->data, data.data(), data.size());
        ggml_set_name(tensor, base.tensors[i].name.c_str());
        gguf_add_tensor(part.get(), tensor);
    }
    CHECK(gguf_write_to_file(part.get(), path.c_str(), false));
}

static void parts_become_one_file(const gguf_model & base, const scratch_folder & folder) {
    write_part(base, folder.path("parts-00001-of-00002.gguf"), 0, 0, 10);
    write_part(base, folder.path("parts-00002-of-00002.gguf"), 1, 10, base.tensors.size());
    const gguf_model  parts = gguf_open(folder.path("parts-00001-of-00002.gguf"));
    const std::string whole = folder.path("whole.gguf"), joined = folder.path("joined.gguf");
    merge_write(base, some_tensors(base), merge_type_named("same"), whole, 2, always);
    merge_write(parts, some_tensors(parts), merge_type_named("same"), joined, 2, always);
    const gguf_model x = gguf_open(whole), y = gguf_open(joined);
    CHECK(y.find("split.count") == nullptr);
    CHECK_EQUAL(y.metadata.size(), x.metadata.size());
    for (const gguf_tensor & tensor : x.tensors) {
        CHECK(data_of(y, *y.find_tensor(tensor.name)) == data_of(x, tensor));
    }
}

static void another_alignment_is_read_and_not_kept(const scratch_folder & folder) {
    gguf_document d = small_document();  // sizes of its tensors are multiples of 64
    d.put_u32("general.alignment", 64);
    std::string numbers(d.data_bytes(), '\0');
    for (size_t i = 0; i < numbers.size(); i += 4) {
        const float value = float(i % 1000) / 1000;
        std::memcpy(numbers.data() + i, &value, 4);
    }
    const gguf_model base = gguf_open(folder.write("aligned.gguf", d.header(64) + numbers));
    adapter_maker    maker{ base };
    maker.pair("blk.0.attn_q.weight", 2, 4, 0.1f);
    const std::string path = folder.path("realigned.gguf");
    merge_write(base, maker.made, merge_type_named("same"), path, 1, always);
    const gguf_model merged = gguf_open(path);
    CHECK(merged.find("general.alignment") == nullptr);
    CHECK(numbers_in(merged, "blk.0.ffn_up_exps.weight") == numbers_in(base, "blk.0.ffn_up_exps.weight"));
}

static void it_stops_and_leaves_nothing(const gguf_model & base, const scratch_folder & folder) {
    const std::string path = folder.path("stopped.gguf");
    uint64_t          last = 0, total = 0;
    const auto        half = [&](uint64_t done, uint64_t of) {
        CHECK(done >= last && done <= of);
        last  = done;
        total = of;
        return done * 2 < of;
    };
    CHECK_EQUAL(merge_write(base, some_tensors(base), merge_type_named("f32"), path, 2, half), uint64_t(0));
    CHECK(last * 2 >= total && total > 0);
    CHECK(!std::filesystem::exists(path) && !std::filesystem::exists(path + ".tmp"));
}

static void what_cannot_be_is_refused(const gguf_model & base, const scratch_folder & folder) {
    const std::string path = folder.path("refused.gguf");
    CHECK_THROWS(merge_write(base, some_tensors(base), merge_type_named("same"), base.files[0], 1, always), user_error, error.code == "request.invalid");
    adapter other      = some_tensors(base);
    other.architecture = "llama";
    CHECK_THROWS(merge_write(base, other, merge_type_named("same"), path, 1, always), user_error, error.code == "request.invalid");
    adapter wrong           = some_tensors(base);
    wrong.parameters[8].n0 -= 1;
    CHECK_THROWS(merge_write(base, wrong, merge_type_named("same"), path, 1, always), user_error, error.code == "request.invalid");
    adapter large = some_tensors(base);
    large.parameters[1].values[0] = 1e7f;
    CHECK_THROWS(merge_write(base, large, merge_type_named("f16"), path, 2, always), user_error, error.code == "file.corrupt" && std::string(error.what()).find("bf16") != std::string::npos);
    CHECK(!std::filesystem::exists(path) && !std::filesystem::exists(path + ".tmp"));
    CHECK_THROWS(merge_write(base, some_tensors(base), merge_type_named("same"), folder.path("no/such/folder.gguf"), 1, always), user_error, error.code == "file.unwritable");
}

int main() {
    llama_log_install();
    backends_load();
    const scratch_folder folder("moebius-merge");
    const gguf_model     tiny = gguf_open(MOEBIUS_TINY_MODEL);
    weights_are_what_they_should_be(tiny, folder);
    what_is_not_trained_stays(tiny, folder);
    types_apply_to_matrices(tiny, folder);
    parts_become_one_file(tiny, folder);
    another_alignment_is_read_and_not_kept(folder);
    it_stops_and_leaves_nothing(tiny, folder);
    what_cannot_be_is_refused(tiny, folder);
    return check_result();
}
