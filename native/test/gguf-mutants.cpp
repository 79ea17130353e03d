// Longer than 400 lines: a catalogue, one function a kind of damage.
#include "gguf-mutants.h"

#include <algorithm>
#include <limits>

namespace moebius_test {

using random_source = std::mt19937_64;

static uint64_t below(random_source & random, uint64_t limit) {
    return limit == 0 ? 0 : random() % limit;
}

template <typename T>
static const T & pick(random_source & random, const std::vector<T> & from) {
    return from[below(random, from.size())];
}

// the cursor of a trusted file
struct walker {
    const std::string & bytes;
    size_t              at = 0;

    template <typename T>
    T number() {
        T value;
        std::memcpy(&value, bytes.data() + at, sizeof(T));
        at += sizeof(T);
        return value;
    }
    std::string text() {
        const auto        length = number<uint64_t>();
        const std::string result = bytes.substr(at, length);
        at += length;
        return result;
    }
    void skip_value(uint32_t type) {
        static const size_t sizes[] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };
        if (type == GGUF_TYPE_STRING) {
            text();
        } else if (type == GGUF_TYPE_ARRAY) {
            const auto element = number<uint32_t>();
            const auto count   = number<uint64_t>();
            for (uint64_t i = 0; i < count; ++i) {
                skip_value(element);
            }
        } else {
            at += sizes[type];
        }
    }
};

mutant_maker::mutant_maker(const std::string & path) {
    std::ifstream file(std::filesystem::u8path(path), std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    walker walk{ bytes_, 8 };
    const auto tensors = walk.number<uint64_t>();
    const auto keys    = walk.number<uint64_t>();
    for (uint64_t i = 0; i < keys; ++i) {
        document_key entry;
        entry.key          = walk.text();
        entry.type         = walk.number<uint32_t>();
        const size_t start = walk.at;
        walk.skip_value(entry.type);
        entry.payload = bytes_.substr(start, walk.at - start);
        document_.keys.push_back(entry);
    }
    for (uint64_t i = 0; i < tensors; ++i) {
        document_tensor tensor;
        tensor.name = walk.text();
        tensor.ne.resize(walk.number<uint32_t>());
        for (uint64_t & size : tensor.ne) {
            size = walk.number<uint64_t>();
        }
        tensor.type   = walk.number<uint32_t>();
        tensor.offset = walk.number<uint64_t>();
        document_.tensors.push_back(tensor);
    }
    header_size_ = document_.header().size();
}

static const std::vector<uint64_t> EXTREMES = {
    0, 1, 2, 3, 7, 31, 33, 255, 256, 257, 511, 513, 4095, 4096, 65535, 65536, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x100000000,
    uint64_t(1) << 40, uint64_t(1) << 61, uint64_t(1) << 62, uint64_t(1) << 63, ~uint64_t(0), ~uint64_t(0) - 31,
};

static document_key & pick_key(gguf_document & document, random_source & random) {
    return document.keys[below(random, document.keys.size())];
}

static document_key * find_key(gguf_document & document, const std::string & key) {
    for (document_key & entry : document.keys) {
        if (entry.key == key) {
            return &entry;
        }
    }
    return nullptr;
}

// --- kinds of damage. Those on the document give new headers; those on bytes come after.

static void extreme_number(gguf_document & document, random_source & random) {
    document_key * entry = &pick_key(document, random);
    while (entry->payload.size() > 8 || entry->type == GGUF_TYPE_STRING) {
        entry = &pick_key(document, random);
    }
    static const std::vector<float> floats = { 0.0f, -1.0f, 1e-30f, 1e30f, -1e-6f, std::numeric_limits<float>::quiet_NaN(),
                                               std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity() };
    if (entry->type == GGUF_TYPE_FLOAT32) {
        entry->payload = raw(pick(random, floats));
    } else {
        entry->payload = raw(pick(random, EXTREMES)).substr(0, entry->payload.size());
    }
}

// hyperparameters that are absent but that llama.cpp would read
static void surprising_key(gguf_document & document, random_source & random) {
    static const std::vector<std::string> names = {
        "qwen3moe.rope.dimension_count", "qwen3moe.expert_group_count", "qwen3moe.expert_group_used_count", "qwen3moe.nextn_predict_layers",
        "qwen3moe.pooling_type", "qwen3moe.attention.key_length_swa", "qwen3moe.expert_gating_func", "qwen3moe.attention.sliding_window",
        "qwen3moe.expert_shared_count", "qwen3moe.leading_dense_block_count", "qwen3moe.vocab_size", "general.alignment", "split.count",
        "split.no", "tokenizer.ggml.unknown_token_id", "tokenizer.ggml.fim_pad_token_id", "tokenizer.ggml.token_type_count",
        "qwen3moe.rope.scaling.original_context_length", "qwen3moe.embedding_length_out", "qwen3moe.full_attention_interval",
    };
    static const std::vector<std::string> flags = {
        "tokenizer.ggml.add_eos_token", "tokenizer.ggml.add_sep_token", "tokenizer.ggml.add_space_prefix", "qwen3moe.attention.causal",
        "qwen3moe.use_parallel_residual", "tokenizer.ggml.remove_extra_whitespaces",
    };
    static const std::vector<std::string> floats = { "qwen3moe.rope.scaling.factor", "qwen3moe.rope.scaling.attn_factor",
                                                     "qwen3moe.rope.scaling.yarn_ext_factor", "qwen3moe.expert_weights_scale",
                                                     "qwen3moe.attention.max_alibi_bias", "qwen3moe.attention.scale" };
    switch (below(random, 5)) {
        case 0:
            document.put_bool(pick(random, flags), below(random, 2) == 1);
            break;
        case 1:
            document.put_string("qwen3moe.rope.scaling.type", pick<std::string>(random, { "none", "yarn", "longrope", "", "su", "linear" }));
            document.put_f32(pick(random, floats), 4.0f);
            break;
        case 2:
            document.put_f32(pick(random, floats), pick<float>(random, { 0, -1, 1e30f, 0.5f, 100, std::numeric_limits<float>::quiet_NaN() }));
            break;
        default:
            document.put_u32(pick(random, names), uint32_t(pick(random, EXTREMES)));
    }
}

static void other_type(gguf_document & document, random_source & random) {
    document_key & entry = pick_key(document, random);
    entry.type           = uint32_t(below(random, 15));
    if (below(random, 2) == 0) {
        entry.payload.resize(pick<size_t>(random, { 1, 2, 4, 8, 12, 16, entry.payload.size() }));
    }
}

static void length_field(gguf_document & document, random_source & random) {
    std::vector<document_key *> candidates;
    for (document_key & entry : document.keys) {
        if (entry.type == GGUF_TYPE_STRING || entry.type == GGUF_TYPE_ARRAY) {
            candidates.push_back(&entry);
        }
    }
    if (below(random, 8) == 0) {
        (below(random, 2) == 0 ? document.claimed_keys : document.claimed_tensors) = pick(random, EXTREMES);
        return;
    }
    document_key * entry = pick(random, candidates);
    const size_t   at    = entry->type == GGUF_TYPE_ARRAY ? 4 : 0;
    uint64_t       old   = 0;
    std::memcpy(&old, entry->payload.data() + at, 8);
    const uint64_t value = below(random, 3) == 0 ? old + below(random, 5) - 2 : pick(random, EXTREMES);
    std::memcpy(entry->payload.data() + at, &value, 8);
}

static void text_value(gguf_document & document, random_source & random) {
    static const std::vector<std::string> keys  = { "general.architecture", "tokenizer.ggml.model", "tokenizer.ggml.pre", "general.name" };
    static const std::vector<std::string> texts = {
        "",      "llama", "qwen2moe", "qwen3", "clip",   "t5",    "bert",       "mamba",     "rwkv7",      "gpt2",     "none", "no_vocab", "bert",
        "t5",    "rwkv",  "plamo2",   "test",  "gemma4", "phi-3", "llama-bpe",  "deepseek-llm", "kimi-k2", "whitespace", "hybriddna", "olmoe",
        "deepseek2", "granitemoe", "gpt-oss", "eagle3", "dream", "modern-bert", "\xff\xfe", std::string("a\0b", 3),
    };
    document.put_string(pick(random, keys), pick(random, texts));
}

// the same hyperparameters under another architecture's name
static void other_architecture(gguf_document & document, random_source & random) {
    static const std::vector<std::string> names = { "llama", "qwen2moe", "qwen3", "olmoe", "deepseek", "deepseek2", "granitemoe", "gpt-oss", "qwen3vlmoe",
                                                    "dbrx", "grok", "phimoe", "bailingmoe", "dots1", "ernie4_5-moe", "hunyuan-moe", "llada-moe",
                                                    "glm4moe", "qwen3next", "smallthinker", "minimax-m2", "mamba2", "rwkv7", "lfm2moe", "arctic",
                                                    "qwen35moe", "jamba", "gemma3", "gemma4", "afmoe", "exaone-moe", "grovemoe", "rnd1", "llama4" };
    const std::string name = pick(random, names);
    for (document_key & entry : document.keys) {
        if (entry.key.compare(0, 9, "qwen3moe.") == 0) {
            entry.key = name + entry.key.substr(8);
        }
    }
    document.put_string("general.architecture", name);
}

static void tensor_entry(gguf_document & document, random_source & random) {
    document_tensor & tensor = document.tensors[below(random, document.tensors.size())];
    switch (below(random, 8)) {
        case 0:
            tensor.ne = { uint64_t(1) << 32, uint64_t(1) << 32 };
            break;
        case 1:
            tensor.ne[below(random, tensor.ne.size())] = pick(random, EXTREMES);
            break;
        case 2:
            std::reverse(tensor.ne.begin(), tensor.ne.end());
            break;
        case 3:
            tensor.ne.resize(below(random, 7), 1);
            break;
        case 4:
            tensor.type = uint32_t(below(random, 46));
            break;
        case 5:
            tensor.type = tensor.type == GGML_TYPE_F32 ? uint32_t(GGML_TYPE_I32) : uint32_t(below(random, 46));
            break;
        case 6:
            tensor.offset = below(random, 2) == 0 ? pick(random, EXTREMES) : tensor.offset + 32 * below(random, 5) - 64;
            break;
        default:
            std::swap(tensor.name, document.tensors[below(random, document.tensors.size())].name);
    }
}

// types and shapes that keep every later offset right: only the last tensor, or sizes that stay
static void same_size_tensor(gguf_document & document, random_source & random) {
    document_tensor & tensor = below(random, 2) == 0 ? document.tensors.back() : document.tensors[below(random, document.tensors.size())];
    if (tensor.type == GGML_TYPE_F32) {
        tensor.type = GGML_TYPE_I32;
    } else if (&tensor == &document.tensors.back()) {
        tensor.type = pick<uint32_t>(random, { GGML_TYPE_Q4_0, GGML_TYPE_Q4_K, GGML_TYPE_I8, GGML_TYPE_Q6_K, GGML_TYPE_IQ4_NL, GGML_TYPE_MXFP4,
                                               GGML_TYPE_TQ2_0, GGML_TYPE_IQ2_XXS, GGML_TYPE_NVFP4, GGML_TYPE_Q2_0 });
    } else {
        std::swap(tensor.ne[0], tensor.ne[tensor.ne.size() - 1]);
    }
}

static void duplicate(gguf_document & document, random_source & random) {
    if (below(random, 2) == 0) {
        document.keys.push_back(pick_key(document, random));
    } else {
        document.tensors[below(random, document.tensors.size())].name = document.tensors[below(random, document.tensors.size())].name;
    }
}

static void missing_key(gguf_document & document, random_source & random) {
    document.keys.erase(document.keys.begin() + long(below(random, document.keys.size())));
}

// inside tokens, types and merges
static void tokenizer_bytes(gguf_document & document, random_source & random) {
    static const std::vector<std::string> keys = { "tokenizer.ggml.tokens", "tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.ggml.merges" };
    std::string & payload = find_key(document, pick(random, keys))->payload;
    for (uint64_t flips = 1 + below(random, 6); flips > 0; --flips) {
        char & byte = payload[12 + below(random, payload.size() - 12)];
        byte        = below(random, 3) == 0 ? char(random()) : pick<char>(random, { ' ', '\0', 'e', char(0xFF), 1, 6 });
    }
}

// one token's text or one merge replaced
static void tokenizer_text(gguf_document & document, random_source & random) {
    std::string &     payload = find_key(document, below(random, 3) == 0 ? "tokenizer.ggml.merges" : "tokenizer.ggml.tokens")->payload;
    walker            walk{ payload, 12 };
    for (uint64_t skip = below(random, 3000); skip > 0; --skip) {
        walk.text();
    }
    const size_t start = walk.at;
    const auto   old   = walk.text();
    const auto   text  = pick<std::string>(random, { "", " ", "e", "\n", "[EMPTY_5]", "<|im_start|>", std::string(300, '\xc4'), std::string("x\0y", 3),
                                                     std::string(40000, 'z'), "\xff\xff", "  ", "<0x0A>", old + " " });
    payload = payload.substr(0, start) + raw_string(text) + payload.substr(walk.at);
}

static void template_text(gguf_document & document, random_source & random) {
    document_key * entry = find_key(document, "tokenizer.chat_template");
    std::string    text  = entry->payload.substr(8);
    switch (below(random, 6)) {
        case 0:
            text = pick<std::string>(random, { "", "{{", "{%", "{{ messages[99].content }}", "{{ raise_exception('no') }}", "{% for x in y %}", "{{ 1/0 }}",
                                               "{{ 99999999999999999999 }}", "{% macro f() %}{% endmacro %}{{ f(1,2,3) }}", "\xff{{ '\xff' }}", "{# " });
            break;
        case 1:
            text = "{{ " + std::string(size_t(1) << (4 + below(random, 14)), pick<char>(random, { '(', '[', '{', '-' }));
            break;
        case 2:
            for (uint64_t i = below(random, 5000); i > 0; --i) {
                text += pick<std::string>(random, { "{% if a %}", "{% elif b %}", "{% for a in b %}", "{% set a %}", "{% macro a() %}" });
            }
            break;
        case 3:
            text.insert(below(random, text.size()), pick<std::string>(random, { "%}", "{{", "}}", "'", "\\", "{% endif %}", "not ", "|x", ".y", "\n" }));
            break;
        case 4:
            text.erase(below(random, text.size()), below(random, 20));
            break;
        default:
            for (uint64_t flips = 1 + below(random, 8); flips > 0; --flips) {
                text[below(random, text.size())] = char(random());
            }
    }
    entry->payload = raw_string(text);
}

static void flip_header_bits(std::string & header, random_source & random, size_t first, size_t last) {
    for (uint64_t flips = 1 + below(random, 8); flips > 0; --flips) {
        header[first + below(random, last - first)] ^= char(1 << below(random, 8));
    }
}

static void overwrite_run(std::string & header, random_source & random) {
    const size_t start = below(random, header.size());
    const size_t size  = std::min<size_t>(header.size() - start, 1 + below(random, 64));
    const auto   fill  = below(random, 3);
    for (size_t i = start; i < start + size; ++i) {
        header[i] = fill == 0 ? '\0' : fill == 1 ? '\xff' : char(random());
    }
}

static void damage_data(mutant & result, const gguf_document & document, random_source & random) {
    const document_tensor & tensor = document.tensors[below(random, document.tensors.size())];
    const std::string       nan16  = "\xff\x7f";  // an F16 scale of a Q8_0 block, or half an F32
    std::string             bytes;
    for (uint64_t blocks = 1 + below(random, 200); blocks > 0; --blocks) {
        bytes += below(random, 2) == 0 ? std::string("\xff\x7f\xff\x7f", 4) : nan16 + std::string(32, char(random()));
    }
    result.patches.emplace_back(tensor.offset, bytes);
}

mutant mutant_maker::make(uint64_t seed) const {
    using document_damage = void (*)(gguf_document &, random_source &);
    struct weighted {
        const char *    name;
        int             weight;
        document_damage damage;
    };
    static const std::vector<weighted> damages = {
        { "extreme number", 14, extreme_number },   { "surprising key", 10, surprising_key },     { "value type", 5, other_type },
        { "length field", 8, length_field },        { "text value", 5, text_value },              { "other architecture", 5, other_architecture },
        { "tensor entry", 12, tensor_entry },       { "same-size tensor", 4, same_size_tensor },  { "duplicate", 3, duplicate },
        { "missing key", 4, missing_key },          { "tokenizer bytes", 6, tokenizer_bytes },    { "tokenizer text", 5, tokenizer_text },
        { "chat template", 6, template_text },
    };
    random_source random(seed * 0x9E3779B97F4A7C15ull + 1);
    mutant        result;
    gguf_document document = document_;
    int           roll     = int(below(random, 115));
    for (const weighted & damage : damages) {
        if (roll >= 0 && roll < damage.weight) {
            result.kind = damage.name;
            damage.damage(document, random);
        }
        roll -= damage.weight;
    }
    result.header = document.header();
    if (!result.kind.empty()) {
        return result;
    }
    switch (below(random, 7)) {
        case 0:
            result.kind = "header bits";
            flip_header_bits(result.header, random, 0, 1200);
            break;
        case 1:
            result.kind = "table bits";
            flip_header_bits(result.header, random, 124848, result.header.size());
            break;
        case 2:
            result.kind = "metadata bits";
            flip_header_bits(result.header, random, 0, result.header.size());
            break;
        case 3:
            result.kind = "overwritten run";
            overwrite_run(result.header, random);
            break;
        case 4:
            result.kind          = "truncated";
            result.length_change = -int64_t(1 + (below(random, 2) == 0 ? below(random, 1000) : below(random, bytes_.size())));
            break;
        case 5:
            result.kind          = "junk behind the data";
            result.length_change = int64_t(1 + below(random, 100000));
            break;
        default:
            result.kind = "tensor data";
            damage_data(result, document_, random);
    }
    return result;
}

void mutant_maker::write(const mutant & mutant, const std::string & path) {
    const auto file  = std::filesystem::u8path(path);
    const bool moved = mutant.header.size() != header_size_;
    if (moved || mutant.length_change != 0 || written_path_ != path) {
        std::ofstream out(file, std::ios::binary);
        out.write(mutant.header.data(), std::streamsize(mutant.header.size()));
        out.write(bytes_.data() + header_size_, std::streamsize(bytes_.size() - header_size_));
        if (mutant.length_change > 0) {
            out << std::string(size_t(mutant.length_change), 'j');
        }
        out.close();
        if (mutant.length_change < 0) {
            std::filesystem::resize_file(file, uint64_t(int64_t(std::filesystem::file_size(file)) + mutant.length_change));
        }
        written_path_ = moved || mutant.length_change != 0 ? "" : path;
        dirty_.clear();
    }
    std::fstream out(file, std::ios::binary | std::ios::in | std::ios::out);
    for (const auto & [offset, length] : dirty_) {
        out.seekp(std::streamoff(offset)).write(bytes_.data() + offset, std::streamsize(length));
    }
    dirty_.clear();
    out.seekp(0).write(mutant.header.data(), std::streamsize(mutant.header.size()));
    for (const auto & [offset, bytes] : mutant.patches) {
        const uint64_t absolute = header_size_ + offset;
        const size_t   length   = std::min<size_t>(bytes.size(), bytes_.size() - absolute);
        out.seekp(std::streamoff(absolute)).write(bytes.data(), std::streamsize(length));
        dirty_.emplace_back(absolute, length);
    }
}

}  // namespace moebius_test
