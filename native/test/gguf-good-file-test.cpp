// Files that have to be accepted: the shipped model, a small one, splits of both, junk behind the data.
#include "check.h"
#include "gguf-document.h"
#include "model/gguf-file.h"
#include "model/inspect.h"

#include <sstream>

using namespace moebius;
using namespace moebius_test;

static void check_shipped_model() {
    const gguf_model model = gguf_open(MOEBIUS_TINY_MODEL);
    CHECK_EQUAL(model.version, 3u);
    CHECK_EQUAL(model.tensors.size(), size_t(50));
    CHECK_EQUAL(model.architecture(), "qwen3moe");
    CHECK_EQUAL(model.hparam("expert_count", 0), 32);
    CHECK_EQUAL(model.find("tokenizer.ggml.tokens")->count, uint64_t(4096));
    const gguf_tensor * experts = model.find_tensor("blk.3.ffn_up_exps.weight");
    CHECK(experts != nullptr && experts->ne == (std::array<int64_t, 4>{ 256, 256, 32, 1 }));
    CHECK_EQUAL(experts->offset + experts->bytes, model.file_bytes[0]);
    CHECK(model.find("no.such.key") == nullptr && model.find_tensor("no.such.tensor") == nullptr);
}

static void check_small_model(const scratch_folder & folder) {
    const std::string bytes = small_document().file();
    CHECK_EQUAL(gguf_open(folder.write("small.gguf", bytes)).tensors.size(), size_t(14));
    CHECK_EQUAL(gguf_open(folder.write("junk.gguf", bytes + std::string(100, 'j'))).tensors.size(), size_t(14));
    gguf_document old = small_document();
    old.version       = 2;
    CHECK_EQUAL(gguf_open(folder.write("old.gguf", old.file())).version, 2u);
    // named like a part, but whole
    CHECK_EQUAL(gguf_open(folder.write("m-00001-of-00002.gguf", bytes)).files.size(), size_t(1));
    // a bounded but busy template, none of whose limits is met
    gguf_document busy = small_document();
    busy.put_string("tokenizer.chat_template", "{# {{ (((( #}{%- set x = {'a': [1, {'b': ')'}]} -%}{{ '}}' + \"%}\" }}{% if x %}{% elif (x) %}{% else %}{% endif %}");
    CHECK_EQUAL(gguf_open(folder.write("busy.gguf", busy.file())).files.size(), size_t(1));
}

// three parts: 5, 5 and 4 tensors; metadata in the first
static gguf_document split_part(int number) {
    const gguf_document whole = small_document();
    gguf_document       part;
    if (number == 0) {
        part.keys = whole.keys;
    }
    part.put_u16("split.no", uint16_t(number));
    part.put_u16("split.count", 3);
    part.put_i32("split.tensors.count", int32_t(whole.tensors.size()));
    for (size_t i = size_t(number) * 5; i < std::min(whole.tensors.size(), size_t(number + 1) * 5); ++i) {
        part.add(whole.tensors[i].name, whole.tensors[i].ne);
    }
    return part;
}

static std::string part_name(const std::string & prefix, int number) {
    return prefix + "-0000" + std::to_string(number + 1) + "-of-00003.gguf";
}

static void write_split(const scratch_folder & folder, const std::string & prefix) {
    for (int number = 0; number < 3; ++number) {
        folder.write(part_name(prefix, number), split_part(number).file());
    }
}

static void check_split(const scratch_folder & folder) {
    write_split(folder, "model");
    for (int number = 0; number < 3; ++number) {
        const gguf_model model = gguf_open(folder.path(part_name("model", number)));
        CHECK_EQUAL(model.files.size(), size_t(3));
        CHECK_EQUAL(model.files.front(), folder.path(part_name("model", 0)));
        CHECK_EQUAL(model.tensors.size(), size_t(14));
        CHECK_EQUAL(model.find_tensor("blk.0.ffn_up_exps.weight")->file, 2u);
        CHECK_EQUAL(model.architecture(), "qwen3moe");
        CHECK_EQUAL(inspect_model(model)["files"].size(), size_t(3));
    }
}

static void check_bad_split(const scratch_folder & folder) {
    const auto incomplete = [](const user_error & error, const char * part) {
        return error.code == "file.split-incomplete" && std::string(error.what()).find(part) != std::string::npos;
    };
    write_split(folder, "gone");
    std::filesystem::remove(std::filesystem::u8path(folder.path(part_name("gone", 1))));
    CHECK_THROWS(gguf_open(folder.path(part_name("gone", 0))), user_error, incomplete(error, "gone-00002-of-00003.gguf"));
    CHECK_THROWS(gguf_open(folder.path(part_name("gone", 2))), user_error, incomplete(error, "gone-00002-of-00003.gguf"));

    write_split(folder, "swapped");
    folder.write(part_name("swapped", 1), split_part(2).file());
    CHECK_THROWS(gguf_open(folder.path(part_name("swapped", 0))), user_error, incomplete(error, "another model"));

    CHECK_THROWS(gguf_open(folder.write("renamed.gguf", split_part(0).file())), user_error, incomplete(error, "part 1 of 3"));
    CHECK_THROWS(gguf_open(folder.write(part_name("wrong", 1), split_part(0).file())), user_error, incomplete(error, "part 1 of 3"));

    write_split(folder, "typed");
    gguf_document typed = split_part(1);
    typed.put_u32("split.no", 1);  // llama.cpp aborts on a type that is not u16
    folder.write(part_name("typed", 1), typed.file());
    CHECK_THROWS(gguf_open(folder.path(part_name("typed", 0))), user_error, error.code == "file.corrupt");

    write_split(folder, "twice");
    gguf_document twice   = split_part(1);
    twice.tensors[0].name = "token_embd.weight";
    folder.write(part_name("twice", 1), twice.file());
    CHECK_THROWS(gguf_open(folder.path(part_name("twice", 0))), user_error, incomplete(error, "token_embd.weight"));

    write_split(folder, "count");
    gguf_document count = split_part(0);
    count.put_i32("split.tensors.count", 15);
    folder.write(part_name("count", 0), count.file());
    CHECK_THROWS(gguf_open(folder.path(part_name("count", 2))), user_error, incomplete(error, "15"));

    write_split(folder, "cut");
    std::filesystem::resize_file(std::filesystem::u8path(folder.path(part_name("cut", 2))), 600);
    CHECK_THROWS(gguf_open(folder.path(part_name("cut", 0))), user_error,
                 error.code == "file.truncated" && std::string(error.what()).find("cut-00003-of-00003.gguf") == 0);
}

int main() {
    const scratch_folder folder("moebius-good-file");
    check_shipped_model();
    check_small_model(folder);
    check_split(folder);
    check_bad_split(folder);
    return check_result();
}
