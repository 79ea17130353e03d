#include "dataset-file.h"

#include "rpc/json-text.h"
#include "train/base/running-checksum.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <filesystem>
#include <limits>

namespace moebius {

namespace {

constexpr uint64_t encoded_version     = 1;  // main/training/data/encoded/format.ts
constexpr uint64_t entry_bytes         = 48;
constexpr uint64_t checked_bytes       = 44;  // of an entry
constexpr uint32_t pair_flag           = 1, cut_flag = 2;
constexpr uint64_t manifest_bytes_most = 64u << 20;
constexpr uint64_t number_most         = uint64_t(1) << 53;  // that JSON of JavaScript holds

// CRC-32 of ISO 3309 (reflected polynomial 0xEDB88320), as zlib's crc32(): `crc` is that of the bytes before.
uint32_t crc32(uint32_t crc, const void * data, uint64_t bytes) {
    static const std::array<uint32_t, 256> table = [] {
        std::array<uint32_t, 256> filled{};
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t value = i;
            for (int bit = 0; bit < 8; bit++) {
                value = (value >> 1) ^ (value & 1 ? 0xEDB88320u : 0u);
            }
            filled[i] = value;
        }
        return filled;
    }();
    const uint8_t * at = static_cast<const uint8_t *>(data);
    crc                = ~crc;
    for (uint64_t i = 0; i < bytes; i++) {
        crc = (crc >> 8) ^ table[(crc ^ at[i]) & 0xFF];
    }
    return ~crc;
}

// Files are little-endian, as are all machines that the prebuilt llama.cpp is for.
template <typename T> T number_at(const uint8_t * bytes) {
    T number;
    std::memcpy(&number, bytes, sizeof(T));
    return number;
}

dataset_entry entry_of(const uint8_t * bytes) {
    const uint32_t flags = number_at<uint32_t>(bytes + 20);
    dataset_entry  entry;
    entry.offset     = number_at<uint64_t>(bytes);
    entry.row        = number_at<uint64_t>(bytes + 8);
    entry.file       = number_at<uint32_t>(bytes + 16);
    entry.is_pair    = flags & pair_flag;
    entry.is_cut     = flags & cut_flag;
    entry.tokens[0]  = number_at<uint32_t>(bytes + 24);
    entry.targets[0] = number_at<uint32_t>(bytes + 28);
    entry.tokens[1]  = number_at<uint32_t>(bytes + 32);
    entry.targets[1] = number_at<uint32_t>(bytes + 36);
    entry.prompt     = number_at<uint32_t>(bytes + 40);
    entry.checksum   = number_at<uint32_t>(bytes + 44);
    return entry;
}

uint64_t mask_bytes(uint32_t tokens) { return (uint64_t(tokens) + 31) / 32 * 4; }

uint64_t sequence_bytes(uint32_t tokens) { return uint64_t(tokens) * 4 + mask_bytes(tokens); }

uint64_t record_bytes(const dataset_entry & entry) { return sequence_bytes(entry.tokens[0]) + sequence_bytes(entry.tokens[1]); }

dataset_sequence sequence_of(const uint8_t * record, uint32_t tokens) {
    dataset_sequence sequence;
    sequence.tokens.resize(tokens);
    std::memcpy(sequence.tokens.data(), record, uint64_t(tokens) * 4);
    const uint8_t * mask = record + uint64_t(tokens) * 4;
    for (uint32_t t = 0; t < tokens; t++) {
        sequence.learnt.push_back(mask[t / 8] >> (t % 8) & 1);
    }
    return sequence;
}

std::string text_of(uint64_t number) { return std::to_string(number); }

// The value under one key after the other, or null.
json value_at(const json & manifest, const std::vector<std::string> & keys) {
    const json * at = &manifest;
    for (const std::string & key : keys) {
        if (!at->is_object() || !at->contains(key)) {
            return nullptr;
        }
        at = &at->at(key);
    }
    return *at;
}

// A number that is not there is one that no check accepts.
uint64_t count_at(const json & manifest, const std::vector<std::string> & keys) {
    const json value = value_at(manifest, keys);
    return value.is_number_unsigned() ? value.get<uint64_t>() : std::numeric_limits<uint64_t>::max();
}

std::string whole_text(std::ifstream & stream, uint64_t bytes) {
    std::string text(bytes, '\0');
    stream.read(text.data(), std::streamsize(bytes));
    text.resize(size_t(std::max<std::streamsize>(0, stream.gcount())));
    return text;
}

}  // namespace

dataset_file::dataset_file(const std::string & folder, const std::string & part) : folder(folder) {
    read_manifest(part);
    open(index, part + ".index", counts.index_bytes);
    open(records, part + ".examples", counts.example_bytes);
    check_index();
}

void dataset_file::refuse(const std::string & path, const std::string & what) const {
    throw user_error("file.corrupt", path + " " + what + ". Encode the dataset anew (moebius dataset --encode).", { { "path", path } });
}

void dataset_file::read_manifest(const std::string & part) {
    const std::string path = (std::filesystem::u8path(folder) / "dataset.json").u8string();
    std::error_code   error;
    const uint64_t    bytes = std::filesystem::file_size(std::filesystem::u8path(path), error);
    if (error) {
        throw user_error("file.not-found", "There is no encoded dataset in " + folder + ": it has no dataset.json that can be read.", { { "path", path } });
    }
    if (bytes > manifest_bytes_most) {
        refuse(path, "has " + text_of(bytes) + " bytes, and a manifest has at most " + text_of(manifest_bytes_most));
    }
    std::ifstream stream(std::filesystem::u8path(path), std::ios::binary);
    json          manifest;
    try {
        manifest = json_parse(whole_text(stream, bytes));
    } catch (const json::exception &) {
        refuse(path, "is not JSON");
    }
    take_counts(manifest, path, part);
}

void dataset_file::take_counts(const json & manifest, const std::string & path, const std::string & part) {
    const uint64_t version = count_at(manifest, { "version" });
    if (version != encoded_version) {
        throw user_error("file.version", path + " is not of version " + std::to_string(encoded_version) + " of encoded datasets, the one that this Moebius reads. Encode the dataset anew.",
                         { { "path", path }, { "version", encoded_version } });
    }
    const auto count = [&](const char * name) { return count_at(manifest, { "parts", part, name }); };
    counts  = { count("examples"), count("pairs"), count("tokens"), count("targets"), count("longest"), count("exampleBytes"), count("indexBytes") };
    sources = value_at(manifest, { "key", "sources" }).size();
    const uint64_t size = count_at(manifest, { "key", "model", "vocabularySize" });
    if (size > uint64_t(std::numeric_limits<int32_t>::max()) || counts.examples > number_most || counts.example_bytes > number_most) {
        refuse(path, "lacks numbers that a manifest has");
    }
    vocabulary = uint32_t(size);
    if (counts.index_bytes != counts.examples * entry_bytes) {
        refuse(path, "states " + text_of(counts.examples) + " examples and an index of " + text_of(counts.index_bytes) + " bytes, which do not fit");
    }
}

void dataset_file::open(open_file & file, const std::string & name, uint64_t bytes) {
    file.path = (std::filesystem::u8path(folder) / name).u8string();
    std::error_code error;
    const uint64_t  has = std::filesystem::file_size(std::filesystem::u8path(file.path), error);
    if (error) {
        throw user_error("file.not-found", "There is no " + file.path + " beside the manifest of its dataset. Encode the dataset anew.", { { "path", file.path } });
    }
    if (has != bytes) {
        const char * code = has < bytes ? "file.truncated" : "file.corrupt";
        throw user_error(code, file.path + " has " + text_of(has) + " bytes, and the manifest states " + text_of(bytes) + ". Encode the dataset anew.",
                         { { "path", file.path }, { "bytes", has }, { "stated", bytes } });
    }
    file.stream.open(std::filesystem::u8path(file.path), std::ios::binary);
    if (!file.stream) {
        throw user_error("file.unreadable", file.path + " cannot be opened.", { { "path", file.path } });
    }
}

void dataset_file::read(open_file & file, uint64_t offset, void * into, uint64_t bytes) {
    file.stream.clear();
    file.stream.seekg(std::streamoff(offset));
    file.stream.read(static_cast<char *>(into), std::streamsize(bytes));
    if (file.stream.bad()) {
        throw user_error("file.unreadable", file.path + " cannot be read at byte " + text_of(offset) + ".", { { "path", file.path }, { "offset", offset } });
    }
    if (!file.stream) {
        throw user_error("file.truncated", file.path + " ended while it was read, before byte " + text_of(offset + bytes) + ". Encode the dataset anew.",
                         { { "path", file.path }, { "offset", offset } });
    }
}

void dataset_file::check_entry(uint64_t i, const dataset_entry & entry, uint64_t offset) const {
    const std::string which  = "has an example " + text_of(i);
    const uint32_t    second = entry.is_pair ? 1 : 0;
    if (entry.offset != offset || record_bytes(entry) > counts.example_bytes - offset) {
        refuse(index.path, which + " at byte " + text_of(entry.offset) + " that does not lie behind the one before, or not in the file");
    }
    if (entry.file >= sources) {
        refuse(index.path, which + " of file " + text_of(entry.file) + ", and the dataset has " + text_of(sources) + " files");
    }
    for (uint32_t s = 0; s < 2; s++) {
        const bool is_there = s <= second;
        if (is_there ? entry.tokens[s] < 2 || entry.targets[s] < 1 || entry.targets[s] >= entry.tokens[s] : entry.tokens[s] + entry.targets[s] > 0) {
            refuse(index.path, which + " of " + text_of(entry.tokens[s]) + " tokens with " + text_of(entry.targets[s]) + " to learn");
        }
    }
    if (entry.prompt > (entry.is_pair ? std::min(entry.tokens[0], entry.tokens[1]) : 0)) {
        refuse(index.path, which + " with a prompt of " + text_of(entry.prompt) + " tokens, more than its sequences have");
    }
}

void dataset_file::check_index() {
    constexpr uint64_t   piece = 4096;  // entries
    std::vector<uint8_t> bytes(size_t(std::min(piece, std::max<uint64_t>(1, counts.examples)) * entry_bytes));
    part_counts          found;
    running_checksum     checksum;
    for (uint64_t begin = 0; begin < counts.examples; begin += piece) {
        const uint64_t end = std::min(begin + piece, counts.examples);
        read(index, begin * entry_bytes, bytes.data(), (end - begin) * entry_bytes);
        checksum.add(bytes.data(), (end - begin) * entry_bytes);
        for (uint64_t i = begin; i < end; i++) {
            const dataset_entry entry = entry_of(bytes.data() + (i - begin) * entry_bytes);
            check_entry(i, entry, found.example_bytes);
            found.pairs += entry.is_pair;
            found.tokens += entry.all_tokens();
            found.targets += uint64_t(entry.targets[0]) + entry.targets[1];
            found.longest = std::max(found.longest, entry.all_tokens());
            found.example_bytes += record_bytes(entry);
        }
    }
    content = checksum.value();
    if (found.pairs != counts.pairs || found.tokens != counts.tokens || found.targets != counts.targets || found.longest != counts.longest ||
        found.example_bytes != counts.example_bytes) {
        refuse(index.path, "has " + text_of(found.tokens) + " tokens, " + text_of(found.targets) + " of them to learn, in " + text_of(found.pairs) +
                               " pairs and others, and the manifest states other numbers");
    }
}

dataset_entry dataset_file::read_entry(uint64_t i, uint8_t * bytes) {
    assert(i < counts.examples);
    read(index, i * entry_bytes, bytes, entry_bytes);
    const dataset_entry entry = entry_of(bytes);
    if (entry.offset > counts.example_bytes || entry.all_tokens() > counts.longest) {
        refuse(index.path, "has changed while it was open");
    }
    check_entry(i, entry, entry.offset);
    return entry;
}

dataset_entry dataset_file::entry(uint64_t i) {
    uint8_t bytes[entry_bytes];
    return read_entry(i, bytes);
}

dataset_example dataset_file::example(uint64_t i) {
    uint8_t         head[entry_bytes];
    dataset_example example{ i, read_entry(i, head), {} };
    std::vector<uint8_t> record(size_t(record_bytes(example.entry)));
    read(records, example.entry.offset, record.data(), record.size());
    if (crc32(crc32(0, head, checked_bytes), record.data(), record.size()) != example.entry.checksum) {
        refuse(records.path, "is damaged: the checksum of example " + text_of(i) + " does not fit");
    }
    uint64_t at = 0;
    for (int64_t s = 0; s < example.entry.sequences(); s++) {
        example.sequences.push_back(sequence_of(record.data() + at, example.entry.tokens[s]));
        check_sequence(i, example.sequences.back(), example.entry.targets[s]);
        at += sequence_bytes(example.entry.tokens[s]);
    }
    return example;
}

// What a wrong writer would do: damage is what the checksum finds.
void dataset_file::check_sequence(uint64_t i, const dataset_sequence & sequence, uint32_t targets) const {
    const auto is_token = [this](int32_t token) { return token >= 0 && uint32_t(token) < vocabulary; };
    if (!std::all_of(sequence.tokens.begin(), sequence.tokens.end(), is_token)) {
        refuse(records.path, "has an example " + text_of(i) + " with a token outside the vocabulary of " + text_of(vocabulary));
    }
    if (sequence.learnt[0] || uint64_t(std::count(sequence.learnt.begin(), sequence.learnt.end(), 1)) != targets) {
        refuse(records.path, "has an example " + text_of(i) + " with other tokens to learn than its index says");
    }
}

}  // namespace moebius
