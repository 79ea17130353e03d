// GGUF files made by hand for tests: a document that can be wrong in any way, its bytes, and files of them.
#pragma once

#include <gguf.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

namespace moebius_test {

template <typename T>
std::string raw(T value) {
    return std::string(reinterpret_cast<const char *>(&value), sizeof(value));
}

inline std::string raw_string(const std::string & text) {
    return raw(uint64_t(text.size())) + text;
}

struct document_key {
    std::string key;
    uint32_t    type;     // gguf_type, or anything
    std::string payload;  // bytes after the type
};

struct document_tensor {
    std::string           name;
    std::vector<uint64_t> ne;
    uint32_t              type;  // ggml_type, or anything
    uint64_t              offset;
};

struct gguf_document {
    std::string                  magic   = "GGUF";
    uint32_t                     version = 3;
    std::optional<uint64_t>      claimed_tensors, claimed_keys;  // instead of the true counts
    std::vector<document_key>    keys;
    std::vector<document_tensor> tensors;

    void put(const std::string & key, uint32_t type, const std::string & payload) {
        for (document_key & entry : keys) {
            if (entry.key == key) {
                entry = { key, type, payload };
                return;
            }
        }
        keys.push_back({ key, type, payload });
    }
    void put_u32(const std::string & key, uint32_t value) { put(key, GGUF_TYPE_UINT32, raw(value)); }
    void put_u16(const std::string & key, uint16_t value) { put(key, GGUF_TYPE_UINT16, raw(value)); }
    void put_i32(const std::string & key, int32_t value) { put(key, GGUF_TYPE_INT32, raw(value)); }
    void put_f32(const std::string & key, float value) { put(key, GGUF_TYPE_FLOAT32, raw(value)); }
    void put_bool(const std::string & key, bool value) { put(key, GGUF_TYPE_BOOL, raw(uint8_t(value))); }
    void put_string(const std::string & key, const std::string & value) { put(key, GGUF_TYPE_STRING, raw_string(value)); }
    void put_strings(const std::string & key, const std::vector<std::string> & values) {
        std::string payload = raw(uint32_t(GGUF_TYPE_STRING)) + raw(uint64_t(values.size()));
        for (const std::string & value : values) {
            payload += raw_string(value);
        }
        put(key, GGUF_TYPE_ARRAY, payload);
    }
    void remove(const std::string & key) {
        for (size_t i = 0; i < keys.size(); ++i) {
            if (keys[i].key == key) {
                keys.erase(keys.begin() + long(i));
                return;
            }
        }
    }
    document_tensor & tensor(const std::string & name) {
        for (document_tensor & entry : tensors) {
            if (entry.name == name) {
                return entry;
            }
        }
        throw std::out_of_range(name);
    }

    // Header, metadata and tensor table, padded to `alignment`; tensor data follows.
    std::string header(uint64_t alignment = 32) const {
        std::string bytes = magic + raw(version) + raw(claimed_tensors.value_or(tensors.size())) + raw(claimed_keys.value_or(keys.size()));
        for (const document_key & entry : keys) {
            bytes += raw_string(entry.key) + raw(entry.type) + entry.payload;
        }
        for (const document_tensor & entry : tensors) {
            bytes += raw_string(entry.name) + raw(uint32_t(entry.ne.size()));
            for (const uint64_t size : entry.ne) {
                bytes += raw(size);
            }
            bytes += raw(entry.type) + raw(entry.offset);
        }
        bytes.resize((bytes.size() + alignment - 1) / alignment * alignment);
        return bytes;
    }

    // Adds an F32 tensor behind the last one.
    void add(const std::string & name, const std::vector<uint64_t> & ne, uint64_t alignment = 32) {
        uint64_t offset = 0;
        if (!tensors.empty()) {
            offset = tensors.back().offset + 4;
            for (const uint64_t size : tensors.back().ne) {
                offset += (size - 1) * (offset - tensors.back().offset);
            }
            offset = (offset + alignment - 1) / alignment * alignment;
        }
        tensors.push_back({ name, ne, GGML_TYPE_F32, offset });
    }

    uint64_t data_bytes() const {
        uint64_t elements = 1;
        for (const uint64_t size : tensors.back().ne) {
            elements *= size;
        }
        return tensors.back().offset + elements * 4;
    }

    // Header and zeros for all tensors (which have to be F32).
    std::string file() const { return header() + std::string(data_bytes(), '\0'); }
};

// A whole qwen3moe of one layer, 32 wide, 4 experts of which 2 used, 16 tokens: valid, and llama.cpp loads it.
inline gguf_document small_document() {
    gguf_document d;
    d.put_string("general.architecture", "qwen3moe");
    d.put_string("general.name", "Small");
    d.put_u32("qwen3moe.block_count", 1);
    d.put_u32("qwen3moe.context_length", 64);
    d.put_u32("qwen3moe.embedding_length", 32);
    d.put_u32("qwen3moe.feed_forward_length", 64);
    d.put_u32("qwen3moe.expert_feed_forward_length", 32);
    d.put_u32("qwen3moe.attention.head_count", 2);
    d.put_u32("qwen3moe.attention.head_count_kv", 1);
    d.put_f32("qwen3moe.attention.layer_norm_rms_epsilon", 1e-6f);
    d.put_f32("qwen3moe.rope.freq_base", 10000.0f);
    d.put_u32("qwen3moe.expert_count", 4);
    d.put_u32("qwen3moe.expert_used_count", 2);
    d.put_string("tokenizer.ggml.model", "gpt2");
    d.put_string("tokenizer.ggml.pre", "gpt-2");
    d.put_strings("tokenizer.ggml.tokens", { "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "ab", "cd", "<s>", "</s>" });
    d.put_strings("tokenizer.ggml.merges", { "a b", "c d" });
    d.put_u32("tokenizer.ggml.eos_token_id", 15);
    d.put_string("tokenizer.chat_template", "{% for m in messages %}{{ m['content'] }}{% endfor %}");
    d.add("token_embd.weight", { 32, 16 });
    d.add("output_norm.weight", { 32 });
    d.add("blk.0.attn_norm.weight", { 32 });
    d.add("blk.0.attn_q.weight", { 32, 32 });
    d.add("blk.0.attn_k.weight", { 32, 16 });
    d.add("blk.0.attn_v.weight", { 32, 16 });
    d.add("blk.0.attn_output.weight", { 32, 32 });
    d.add("blk.0.attn_q_norm.weight", { 16 });
    d.add("blk.0.attn_k_norm.weight", { 16 });
    d.add("blk.0.ffn_norm.weight", { 32 });
    d.add("blk.0.ffn_gate_inp.weight", { 32, 4 });
    d.add("blk.0.ffn_gate_exps.weight", { 32, 32, 4 });
    d.add("blk.0.ffn_down_exps.weight", { 32, 32, 4 });
    d.add("blk.0.ffn_up_exps.weight", { 32, 32, 4 });
    return d;
}

// A folder for one test, gone when it ends.
class scratch_folder {
  public:
    explicit scratch_folder(const std::string & name) {
        static int count = 0;
        folder = std::filesystem::temp_directory_path() /
                 (name + "-" + std::to_string(uint64_t(std::filesystem::file_time_type::clock::now().time_since_epoch().count())) + "-" +
                  std::to_string(count++));
        std::filesystem::create_directories(folder);
    }
    ~scratch_folder() {
        std::error_code ignored;
        std::filesystem::remove_all(folder, ignored);
    }
    scratch_folder(const scratch_folder &)             = delete;
    scratch_folder & operator=(const scratch_folder &) = delete;

    std::string path(const std::string & name) const { return (folder / name).u8string(); }
    std::string write(const std::string & name, const std::string & bytes) const {
        std::ofstream(folder / name, std::ios::binary).write(bytes.data(), std::streamsize(bytes.size()));
        return path(name);
    }

  private:
    std::filesystem::path folder;
};

}  // namespace moebius_test
