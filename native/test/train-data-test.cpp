// The encoded dataset that the TypeScript side wrote (test/data/encoded, checked there against the engine), and what damage does to it.
#include "check.h"
#include "gguf-document.h"
#include "rpc/json-text.h"
#include "train/data/packed-batch.h"
#include "train/data/packing.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <random>

using namespace moebius;
using namespace moebius_test;

namespace {

const std::string              written = std::string(MOEBIUS_TEST_DATA) + "/encoded";
const std::vector<std::string> parts{ "train", "validation" };
const std::vector<std::string> names{ "dataset.json", "train.examples", "train.index", "validation.examples", "validation.index" };

std::string bytes_of(const std::string & path) {
    std::ifstream stream(path, std::ios::binary);
    return { std::istreambuf_iterator<char>(stream), {} };
}

std::string code_of(const std::function<void()> & work) {
    try {
        work();
        return "none";
    } catch (const user_error & error) {
        return error.code;
    }
}

// As expected.json has it.
json described(const dataset_example & example) {
    json sequences = json::array();
    for (const dataset_sequence & sequence : example.sequences) {
        json learnt = json::array();
        for (size_t t = 0; t < sequence.tokens.size(); t++) {
            if (sequence.learnt[t]) {
                learnt.push_back(t);
            }
        }
        sequences.push_back({ { "tokens", sequence.tokens }, { "learnt", learnt } });
    }
    return { { "file", example.entry.file }, { "row", example.entry.row }, { "cut", example.entry.is_cut }, { "prompt", example.entry.prompt }, { "sequences", sequences } };
}

json everything(const std::string & folder) {
    json all = json::object();
    for (const std::string & part : parts) {
        dataset_file data(folder, part);
        all[part] = json::array();
        for (uint64_t i = 0; i < data.examples(); i++) {
            all[part].push_back(described(data.example(i)));
        }
    }
    return all;
}

void reads_what_the_command_wrote() {
    const json expected = json_parse(bytes_of(written + "/expected.json"));
    const json found    = everything(written);
    for (const std::string & part : parts) {
        CHECK_EQUAL(found[part].size(), expected[part].size());
        for (size_t i = 0; i < std::min(found[part].size(), expected[part].size()); i++) {
            CHECK_EQUAL(json_text(found[part][i]), json_text(expected[part][i]));
        }
    }
    dataset_file data(written, "train");
    CHECK(data.examples() > 20 && data.pairs() > 0 && data.vocabulary_size() == 4096);
    const dataset_entry last = data.entry(data.examples() - 1);
    CHECK_EQUAL(last.all_tokens(), data.example(data.examples() - 1).entry.all_tokens());
}

// A copy of the dataset with other files.
struct copied_dataset {
    scratch_folder                     folder{ "moebius-data" };
    std::map<std::string, std::string> files;

    copied_dataset() {
        for (const std::string & name : names) {
            files[name] = bytes_of(written + "/" + name);
        }
        write();
    }
    void        write() const { for (const auto & [name, bytes] : files) folder.write(name, bytes); }
    std::string path() const { return folder.path(""); }
    std::string code() const { return code_of([this] { everything(path()); }); }
};

std::string code_with(const std::string & name, const std::function<void(std::string &)> & change) {
    copied_dataset copy;
    change(copy.files[name]);
    copy.write();
    return copy.code();
}

void replace(std::string & text, const std::string & from, const std::string & to) {
    const size_t at = text.find(from);
    CHECK(at != std::string::npos);
    text.replace(at, from.size(), to);
}

void refuses_what_does_not_fit() {
    const auto flip = [](size_t at) { return [at](std::string & bytes) { bytes[at] = char(bytes[at] ^ 1); }; };
    CHECK_EQUAL(copied_dataset().code(), "none");
    CHECK_EQUAL(code_of([] { dataset_file(written + "/no-such-folder", "train"); }), "file.not-found");
    CHECK_EQUAL(code_with("dataset.json", [](std::string & text) { replace(text, "\"version\": 1", "\"version\": 2"); }), "file.version");
    CHECK_EQUAL(code_with("dataset.json", [](std::string & text) { text = "[[[[[[["; }), "file.corrupt");
    CHECK_EQUAL(code_with("dataset.json", [](std::string & text) { text = "[1]"; }), "file.version");
    CHECK_EQUAL(code_with("dataset.json", [](std::string & text) { replace(text, "\"vocabularySize\": 4096", "\"vocabularySize\": 100"); }), "file.corrupt");  // smaller than its tokens
    CHECK_EQUAL(code_with("dataset.json", [](std::string & text) { replace(text, "\"examples\": ", "\"examples\": 1"); }), "file.corrupt");
    CHECK_EQUAL(code_with("train.examples", [](std::string & bytes) { bytes.pop_back(); }), "file.truncated");
    CHECK_EQUAL(code_with("train.index", [](std::string & bytes) { bytes += '\0'; }), "file.corrupt");
    CHECK_EQUAL(code_with("train.examples", flip(0)), "file.corrupt");
    CHECK_EQUAL(code_with("train.index", flip(0)), "file.corrupt");       // offset
    CHECK_EQUAL(code_with("train.index", flip(8)), "file.corrupt");       // row: only the checksum knows
    CHECK_EQUAL(code_with("train.index", flip(24)), "file.corrupt");      // tokens
    CHECK_EQUAL(code_with("validation.index", flip(44)), "file.corrupt");  // checksum
    copied_dataset copy;
    copy.files["train.index"][48] ^= 4;  // the second offset: seen before any example is read
    copy.write();
    CHECK_EQUAL(code_of([&] { dataset_file(copy.path(), "train"); }), "file.corrupt");
}

void tells_of_a_file_that_changes_while_it_is_open() {
    copied_dataset copy;
    dataset_file   data(copy.path(), "train");
    const uint64_t last = data.examples() - 1;
    std::filesystem::resize_file(std::filesystem::u8path(copy.folder.path("train.examples")), 8);
    CHECK_EQUAL(code_of([&] { data.example(last); }), "file.truncated");
    std::filesystem::resize_file(std::filesystem::u8path(copy.folder.path("train.index")), 8);
    CHECK_EQUAL(code_of([&] { data.entry(last); }), "file.truncated");
}

void damage(std::string & bytes, std::mt19937_64 & random) {
    const auto at = [&] { return size_t(random() % bytes.size()); };
    switch (random() % 6) {
        case 0: bytes[at()] = char(random()); break;
        case 1: bytes.resize(at()); break;
        case 2: bytes.append(size_t(random() % 64 + 1), char(random())); break;
        case 3: {  // one number, at a place where numbers are
            const uint32_t values[] = { 0, 1, 0x7fffffff, 0x80000000, 0xffffffff, uint32_t(random()) };
            const size_t   word     = at() / 4 * 4;
            std::memcpy(&bytes[word], &values[random() % 6], std::min<size_t>(4, bytes.size() - word));
            break;
        }
        case 4: {  // a digit of a manifest, a bit of others
            const size_t from = at();
            const size_t digit = bytes.find_first_of("0123456789", from);
            (digit == std::string::npos ? bytes[from] : bytes[digit]) ^= 1;
            break;
        }
        default: {
            const size_t from = at(), to = at();
            const size_t count = std::min<size_t>(random() % 200, bytes.size() - std::max(from, to));
            std::memmove(&bytes[to], &bytes[from], count);
        }
    }
}

// A mutant is refused, or nothing of its data has changed.
void survives_mutants(uint64_t first, uint64_t count) {
    const json                 original = everything(written);
    copied_dataset             copy;
    const auto                 files = copy.files;
    std::map<std::string, int> results;
    for (uint64_t seed = first; seed < first + count; seed++) {
        std::mt19937_64 random(seed);
        copy.files = files;
        for (uint64_t times = random() % 3 + 1; times > 0; times--) {
            std::string & bytes = copy.files[names[random() % names.size()]];
            if (!bytes.empty()) {
                damage(bytes, random);
            }
        }
        copy.write();
        const std::string code = code_of([&] {
            report(everything(copy.path()) == original, __FILE__, __LINE__, "mutant " + std::to_string(seed) + " is read and has other data");
            dataset_file data(copy.path(), "train");
            packing      packed({ data.longest() }, packing_source_of(data));
            read_batch(data, packed.next(), data.longest(), target_weighting::tokens);
        });
        results[code]++;
    }
    for (const auto & [code, times] : results) {
        std::printf("%5d %s\n", times, code.c_str());
        CHECK(code == "none" || code.rfind("file.", 0) == 0);
    }
    CHECK(results["file.corrupt"] > int(count / 4));  // not all refused for their size
}

}  // namespace

int main(int argument_count, char ** arguments) {
    const uint64_t first = argument_count > 1 ? std::strtoull(arguments[1], nullptr, 10) : 0;
    const uint64_t count = argument_count > 2 ? std::strtoull(arguments[2], nullptr, 10) : 300;
    reads_what_the_command_wrote();
    refuses_what_does_not_fit();
    tells_of_a_file_that_changes_while_it_is_open();
    survives_mutants(first, count);
    return check_result();
}
