// Bad model files: each line of the table is one, with the reason why it is bad and the error that has to come.
#include "check.h"
#include "gguf-document.h"
#include "model/gguf-file.h"
#include "rpc/errors.h"

#include <cstdlib>
#include <functional>
#include <limits>

using namespace moebius;
using namespace moebius_test;

static const float NOT_A_NUMBER = std::numeric_limits<float>::quiet_NaN();

struct bad_file {
    const char *                          reason;
    const char *                          code;
    const char *                          message;  // a part of it
    std::function<void(gguf_document &)> edit;
};

static std::string repeat(const std::string & text, size_t count) {
    std::string result;
    for (size_t i = 0; i < count; ++i) {
        result += text;
    }
    return result;
}

static const std::vector<bad_file> header_cases = {
    { "a zip archive", "file.not-gguf", "starts with 'PK", [](gguf_document & d) { d.magic = "PK\x03\x04"; } },
    { "magic in the other byte order", "file.not-gguf", "FUGG", [](gguf_document & d) { d.magic = "FUGG"; } },
    { "version 0", "file.version", "version 0", [](gguf_document & d) { d.version = 0; } },
    { "version 1 has 32-bit counts", "file.version", "version 1", [](gguf_document & d) { d.version = 1; } },
    { "version 4 does not exist yet", "file.version", "version 4", [](gguf_document & d) { d.version = 4; } },
    { "big-endian", "file.version", "big-endian", [](gguf_document & d) { d.version = 0x03000000; } },
    { "more tensors than bytes", "file.corrupt", "tensors", [](gguf_document & d) { d.claimed_tensors = uint64_t(1) << 60; } },
    { "negative tensor count", "file.corrupt", "tensors", [](gguf_document & d) { d.claimed_tensors = ~uint64_t(0); } },
    { "more keys than bytes", "file.corrupt", "metadata keys", [](gguf_document & d) { d.claimed_keys = uint64_t(1) << 62; } },
    { "fewer keys than there are", "file.corrupt", "", [](gguf_document & d) { d.claimed_keys = 3; } },
    { "a string of 4 GB", "file.corrupt", "limit", [](gguf_document & d) { d.put("x", GGUF_TYPE_STRING, raw(uint64_t(4) << 30)); } },
    { "a string longer than the file", "file.truncated", "ends at", [](gguf_document & d) { d.put("x", GGUF_TYPE_STRING, raw(uint64_t(1) << 20)); } },
    { "string length -1", "file.corrupt", "limit", [](gguf_document & d) { d.put("x", GGUF_TYPE_STRING, raw(~uint64_t(0))); } },
    { "empty key", "file.corrupt", "empty", [](gguf_document & d) { d.put_u32("", 1); } },
    { "key with a zero byte", "file.corrupt", "zero byte", [](gguf_document & d) { d.put_u32(std::string("a\0b", 3), 1); } },
    { "key longer than the format allows", "file.corrupt", "limit is 65535", [](gguf_document & d) { d.put_u32(std::string(70000, 'k'), 1); } },
    { "a key twice", "file.corrupt", "twice", [](gguf_document & d) { d.keys.push_back(d.keys[1]); } },
    { "unknown value type", "file.corrupt", "value type 13", [](gguf_document & d) { d.put("x", 13, raw(1)); } },
    { "value type -1", "file.corrupt", "value type 4294967295", [](gguf_document & d) { d.put("x", ~0u, raw(1)); } },
    { "array of arrays", "file.corrupt", "array of arrays", [](gguf_document & d) { d.put("x", GGUF_TYPE_ARRAY, raw(9u) + raw(uint64_t(1)) + raw(4u) + raw(uint64_t(1)) + raw(1u)); } },
    { "array of unknown type", "file.corrupt", "value type 99", [](gguf_document & d) { d.put("x", GGUF_TYPE_ARRAY, raw(99u) + raw(uint64_t(1)) + raw(1u)); } },
    { "array length whose bytes wrap to 0", "file.corrupt", "claims an array", [](gguf_document & d) { d.put("x", GGUF_TYPE_ARRAY, raw(10u) + raw(uint64_t(1) << 61)); } },
    { "string array longer than the file", "file.truncated", "string array", [](gguf_document & d) { d.put("x", GGUF_TYPE_ARRAY, raw(8u) + raw(uint64_t(1) << 20)); } },
    { "alignment 0", "file.corrupt", "alignment", [](gguf_document & d) { d.put_u32("general.alignment", 0); } },
    { "alignment not a power of two", "file.corrupt", "alignment", [](gguf_document & d) { d.put_u32("general.alignment", 48); } },
    { "alignment that llama.cpp's mapped buffers abort on", "file.corrupt", "alignment", [](gguf_document & d) { d.put_u32("general.alignment", 8); } },
    { "alignment of 2 GB", "file.corrupt", "alignment", [](gguf_document & d) { d.put_u32("general.alignment", 1u << 31); } },
    { "alignment of another type", "file.corrupt", "alignment", [](gguf_document & d) { d.put("general.alignment", GGUF_TYPE_UINT64, raw(uint64_t(32))); } },
};

static const std::vector<bad_file> tensor_cases = {
    { "no dimensions", "file.corrupt", "0 dimensions", [](gguf_document & d) { d.tensor("output_norm.weight").ne = {}; } },
    { "five dimensions", "file.corrupt", "5 dimensions", [](gguf_document & d) { d.tensor("output_norm.weight").ne = { 32, 1, 1, 1, 1 }; } },
    { "a dimension of 0", "file.corrupt", "impossible", [](gguf_document & d) { d.tensor("output_norm.weight").ne = { 0 }; } },
    { "a negative dimension", "file.corrupt", "impossible", [](gguf_document & d) { d.tensor("output_norm.weight").ne = { uint64_t(-32) }; } },
    { "dimensions whose product wraps to 0", "file.corrupt", "impossible", [](gguf_document & d) { d.tensor("output_norm.weight").ne = { uint64_t(1) << 32, uint64_t(1) << 32 }; } },
    { "dimensions whose product wraps to 32", "file.corrupt", "impossible", [](gguf_document & d) { d.tensor("output_norm.weight").ne = { 32, (uint64_t(1) << 59) + 1 }; } },
    { "bytes that wrap when padded", "file.corrupt", "impossible", [](gguf_document & d) { d.tensor("output_norm.weight").ne = { (uint64_t(1) << 62) - 1 }; } },
    { "rows not whole blocks", "file.corrupt", "multiple of 32", [](gguf_document & d) { d.tensor("blk.0.attn_q_norm.weight").type = GGML_TYPE_Q8_0; } },
    { "removed type Q4_2", "file.corrupt", "type 4 ", [](gguf_document & d) { d.tensor("output_norm.weight").type = 4; } },
    { "type beyond the table", "file.corrupt", "type 43", [](gguf_document & d) { d.tensor("output_norm.weight").type = GGML_TYPE_COUNT; } },
    { "type -1", "file.corrupt", "4294967295", [](gguf_document & d) { d.tensor("output_norm.weight").type = ~0u; } },
    { "offset not aligned", "file.corrupt", "expected", [](gguf_document & d) { d.tensor("output_norm.weight").offset += 4; } },
    { "tensors overlap", "file.corrupt", "expected", [](gguf_document & d) { d.tensor("output_norm.weight").offset = 0; } },
    { "a gap between tensors", "file.corrupt", "expected", [](gguf_document & d) { d.tensors.back().offset += 32; } },
    { "offset -32", "file.corrupt", "expected", [](gguf_document & d) { d.tensor("output_norm.weight").offset = uint64_t(-32); } },
    { "last tensor larger than the file", "file.truncated", "needs", [](gguf_document & d) { d.tensors.back().ne[1] = uint64_t(1) << 40; } },
    { "a tensor twice", "file.corrupt", "twice", [](gguf_document & d) { d.tensors[3].name = d.tensors[4].name; } },
    { "tensor name of 64 bytes", "file.corrupt", "limit is 63", [](gguf_document & d) { d.tensors[3].name = std::string(64, 'n'); } },
    { "tensor without a name", "file.corrupt", "empty", [](gguf_document & d) { d.tensors[3].name = ""; } },
    { "integers as weights", "file.corrupt", "i32", [](gguf_document & d) { d.tensor("blk.0.attn_q.weight").type = GGML_TYPE_I32; } },
    { "a norm of integers", "file.corrupt", "i32", [](gguf_document & d) { d.tensor("output_norm.weight").type = GGML_TYPE_I32; } },
    { "a layer beyond block_count", "file.corrupt", "does not exist", [](gguf_document & d) { d.tensor("blk.0.attn_q.weight").name = "blk.1.attn_q.weight"; } },
    { "a layer number beyond 64 bits", "file.corrupt", "does not exist", [](gguf_document & d) { d.tensor("blk.0.attn_q.weight").name = "blk.99999999999999999999.attn_q.weight"; } },
};

static const std::vector<bad_file> hparam_cases = {
    { "no architecture", "file.corrupt", "architecture", [](gguf_document & d) { d.remove("general.architecture"); } },
    { "architecture is a number", "file.corrupt", "architecture", [](gguf_document & d) { d.put_u32("general.architecture", 1); } },
    { "an image projector", "model.unsupported", "projector", [](gguf_document & d) { d.put_string("general.architecture", "clip"); } },
    { "a LoRA adapter", "model.unsupported", "adapter", [](gguf_document & d) { d.put_string("general.type", "adapter"); } },
    { "an encoder-decoder", "model.unsupported", "encoder-decoder", [](gguf_document & d) { d.put_string("general.architecture", "t5"); } },
    { "attention that sees the future", "model.unsupported", "directions", [](gguf_document & d) { d.put_bool("qwen3moe.attention.causal", false); } },
    { "a vocabulary without weights", "model.unsupported", "weights", [](gguf_document & d) { d.claimed_tensors = 0; } },
    { "no block_count", "file.corrupt", "missing", [](gguf_document & d) { d.remove("qwen3moe.block_count"); } },
    { "0 layers", "file.corrupt", "block_count", [](gguf_document & d) { d.put_u32("qwen3moe.block_count", 0); } },
    { "more layers than llama.cpp's arrays hold", "file.corrupt", "block_count", [](gguf_document & d) { d.put_u32("qwen3moe.block_count", 513); } },
    { "block_count is a float", "file.corrupt", "block_count", [](gguf_document & d) { d.put_f32("qwen3moe.block_count", 1); } },
    { "all layers predict further tokens", "file.corrupt", "nextn", [](gguf_document & d) { d.put_u32("qwen3moe.nextn_predict_layers", 1); } },
    { "context of 0", "file.corrupt", "context_length", [](gguf_document & d) { d.put_u32("qwen3moe.context_length", 0); } },
    { "more experts than llama.cpp's arrays hold", "file.corrupt", "expert_count", [](gguf_document & d) { d.put_u32("qwen3moe.expert_count", 1025); } },
    { "more experts used than there are", "file.corrupt", "expert_used_count", [](gguf_document & d) { d.put_u32("qwen3moe.expert_used_count", 5); } },
    { "no expert used", "file.corrupt", "expert_used_count", [](gguf_document & d) { d.put_u32("qwen3moe.expert_used_count", 0); } },
    { "experts used but none there", "file.corrupt", "expert_used_count", [](gguf_document & d) { d.remove("qwen3moe.expert_count"); } },
    { "expert tensors of another count", "file.corrupt", "holds 4 experts", [](gguf_document & d) { d.put_u32("qwen3moe.expert_count", 8); } },
    { "as many expert groups as experts", "file.corrupt", "expert_group_count", [](gguf_document & d) { d.put_u32("qwen3moe.expert_group_count", 4); } },
    { "expert groups that do not divide", "file.corrupt", "divide", [](gguf_document & d) { d.put_u32("qwen3moe.expert_group_count", 3); } },
    { "unknown gating function", "file.corrupt", "expert_gating_func", [](gguf_document & d) { d.put_u32("qwen3moe.expert_gating_func", 9); } },
    { "per-layer array of another length", "file.corrupt", "one a layer", [](gguf_document & d) { d.put("qwen3moe.attention.head_count", GGUF_TYPE_ARRAY, raw(4u) + raw(uint64_t(2)) + raw(2u) + raw(2u)); } },
    { "more heads than the embedding is wide", "file.corrupt", "head_count", [](gguf_document & d) { d.put_u32("qwen3moe.attention.head_count", 64); } },
    { "heads not a multiple of key-value heads", "file.corrupt", "multiple", [](gguf_document & d) { d.put_u32("qwen3moe.attention.head_count_kv", 3); } },
    { "key and value heads of different size", "file.corrupt", "equal", [](gguf_document & d) { d.put_u32("qwen3moe.attention.value_length", 32); } },
    { "rope over half a head, where llama.cpp asserts a whole one", "file.corrupt", "equal", [](gguf_document & d) { d.put_u32("qwen3moe.rope.dimension_count", 8); } },
    { "odd rope dimensions", "file.corrupt", "even", [](gguf_document & d) { d.put_u32("qwen3moe.rope.dimension_count", 7); } },
    { "unknown rope scaling", "file.corrupt", "rope.scaling.type", [](gguf_document & d) { d.put_string("qwen3moe.rope.scaling.type", "magic"); } },
    { "negative epsilon", "file.corrupt", "epsilon", [](gguf_document & d) { d.put_f32("qwen3moe.attention.layer_norm_rms_epsilon", -1e-6f); } },
    { "NaN epsilon", "file.corrupt", "epsilon", [](gguf_document & d) { d.put_f32("qwen3moe.attention.layer_norm_rms_epsilon", NOT_A_NUMBER); } },
    { "infinite rope base", "file.corrupt", "rope", [](gguf_document & d) { d.put_f32("qwen3moe.rope.freq_base", std::numeric_limits<float>::infinity()); } },
    { "NaN in a hyperparameter", "file.corrupt", "impossible", [](gguf_document & d) { d.put_f32("qwen3moe.logit_scale", NOT_A_NUMBER); } },
    { "unknown pooling", "file.corrupt", "pooling_type", [](gguf_document & d) { d.put_u32("qwen3moe.pooling_type", 77); } },
};

static const std::vector<bad_file> tokenizer_cases = {
    { "no tokenizer model", "file.corrupt", "tokenizer.ggml.model", [](gguf_document & d) { d.remove("tokenizer.ggml.model"); } },
    { "a SentencePiece vocabulary without bytes", "file.corrupt", "no token for 2", [](gguf_document & d) { d.put_string("tokenizer.ggml.model", "llama"); } },
    { "a model without vocabulary", "model.unsupported", "no tokenizer", [](gguf_document & d) { d.put_string("tokenizer.ggml.model", "none"); } },
    { "no tokens", "file.corrupt", "missing", [](gguf_document & d) { d.remove("tokenizer.ggml.tokens"); } },
    { "tokens are numbers", "file.corrupt", "array of str", [](gguf_document & d) { d.put("tokenizer.ggml.tokens", GGUF_TYPE_ARRAY, raw(4u) + raw(uint64_t(1)) + raw(1u)); } },
    { "an empty vocabulary", "file.corrupt", "0 elements", [](gguf_document & d) { d.put_strings("tokenizer.ggml.tokens", {}); } },
    { "two tokens of one text", "file.corrupt", "'b' twice", [](gguf_document & d) { d.put_strings("tokenizer.ggml.tokens", { "a", "b", "c", "b" }); } },
    { "two tokens that differ behind a zero byte", "file.corrupt", "'b' twice", [](gguf_document & d) { d.put_strings("tokenizer.ggml.tokens", { "a", "b", std::string("b\0c", 3) }); } },
    { "a token that llama.cpp's name for an empty one repeats", "file.corrupt", "EMPTY_1", [](gguf_document & d) { d.put_strings("tokenizer.ggml.tokens", { "[EMPTY_1]", "" }); } },
    { "a token of 40 KB", "file.corrupt", "limit is 32767", [](gguf_document & d) { d.put_strings("tokenizer.ggml.tokens", { "a", std::string(40000, 'x') }); } },
    { "fewer token types than tokens", "file.corrupt", "token_type", [](gguf_document & d) { d.put("tokenizer.ggml.token_type", GGUF_TYPE_ARRAY, raw(5u) + raw(uint64_t(1)) + raw(1)); } },
    { "scores are text", "file.corrupt", "scores", [](gguf_document & d) { d.put_strings("tokenizer.ggml.scores", { "1" }); } },
    { "a merge of one text", "file.corrupt", "rule 1", [](gguf_document & d) { d.put_strings("tokenizer.ggml.merges", { "a b", "cd" }); } },
    { "a special token outside the vocabulary", "file.corrupt", "eos_token_id", [](gguf_document & d) { d.put_u32("tokenizer.ggml.eos_token_id", 16); } },
    { "a special token of another type", "file.corrupt", "eos_token_id", [](gguf_document & d) { d.put_i32("tokenizer.ggml.eos_token_id", 15); } },
    { "wants a begin token but has none", "file.corrupt", "add_bos_token", [](gguf_document & d) {
         d.put_strings("tokenizer.ggml.tokens", { "a", "b" });
         d.put_u32("tokenizer.ggml.eos_token_id", 1);
         d.put_bool("tokenizer.ggml.add_bos_token", true);
     } },
    { "add_bos_token is a number", "file.corrupt", "add_bos_token", [](gguf_document & d) { d.put_u32("tokenizer.ggml.add_bos_token", 1); } },
    { "normalisation table with an index larger than itself", "file.corrupt", "charsmap", [](gguf_document & d) { d.put("tokenizer.ggml.precompiled_charsmap", GGUF_TYPE_ARRAY, raw(0u) + raw(uint64_t(8)) + raw(0xFFFFFFFCu) + raw(0u)); } },
    { "template is a number", "file.corrupt", "chat_template", [](gguf_document & d) { d.put_u32("tokenizer.chat_template", 1); } },
    { "template of 600 KB", "file.corrupt", "limit", [](gguf_document & d) { d.put_string("tokenizer.chat_template", std::string(600000, 'x')); } },
    { "template with brackets nested 50,000 deep", "file.corrupt", "nested brackets", [](gguf_document & d) { d.put_string("tokenizer.chat_template", "{{ " + std::string(50000, '(')); } },
    { "template with 20,000 nested ifs", "file.corrupt", "nested statements", [](gguf_document & d) { d.put_string("tokenizer.chat_template", repeat("{% if a %}", 20000)); } },
    { "template with 20,000 nested block assignments", "file.corrupt", "nested statements", [](gguf_document & d) { d.put_string("tokenizer.chat_template", repeat("{% set a %}", 20000)); } },
    { "template with 20,000 elifs", "file.corrupt", "elif", [](gguf_document & d) { d.put_string("tokenizer.chat_template", "{% if a %}" + repeat("{% elif a %}", 20000)); } },
    { "template with a chain of 50,000 'not'", "file.corrupt", "tokens in one tag", [](gguf_document & d) { d.put_string("tokenizer.chat_template", "{{ " + repeat("not ", 50000) + "a }}"); } },
    { "template with a sum of 50,000 terms", "file.corrupt", "tokens in one tag", [](gguf_document & d) { d.put_string("tokenizer.chat_template", "{{ a" + repeat("+a", 50000) + " }}"); } },
    { "named template nested too deep", "file.corrupt", "tool_use", [](gguf_document & d) { d.put_string("tokenizer.chat_template.tool_use", "{{ " + std::string(50000, '[')); } },
};

static void check_bad(const scratch_folder & folder, const bad_file & bad) {
    gguf_document document = small_document();
    bad.edit(document);
    // data for the undamaged tensors: the edit alone has to be what is refused
    const std::string path = folder.write("bad.gguf", document.header() + std::string(small_document().data_bytes(), '\0'));
    try {
        gguf_open(path);
        report(false, __FILE__, __LINE__, std::string(bad.reason) + ": was accepted");
    } catch (const user_error & error) {
        const std::string what = error.what();
        report(error.code == bad.code, __FILE__, __LINE__, std::string(bad.reason) + ": code " + error.code + " (" + what + ")");
        report(what.find(bad.message) != std::string::npos, __FILE__, __LINE__, std::string(bad.reason) + ": message " + what);
        report(error.details.contains("path"), __FILE__, __LINE__, std::string(bad.reason) + ": no path in the details");
        CHECK(!json(what).dump().empty());  // valid UTF-8, or this throws
    }
}

// every possible length of the small file, and a few special things that are no files
static void check_truncations(const scratch_folder & folder) {
    const std::string whole  = small_document().file();
    const size_t      header = small_document().header().size();
    for (size_t length = 0; length < whole.size(); length += length < header ? 1 : 997) {
        const std::string path = folder.write("cut.gguf", whole.substr(0, length));
        CHECK_THROWS(gguf_open(path), user_error, error.code == (length < 4 ? "file.not-gguf" : "file.truncated") ||
                                                      (length < 24 + 14 * 33 && error.code == "file.corrupt"));
    }
    CHECK_THROWS(gguf_open(folder.path("nothing.gguf")), user_error, error.code == "file.not-found");
    CHECK_THROWS(gguf_open(folder.path("")), user_error, error.code == "file.unreadable");
    CHECK_THROWS(gguf_open("/dev/null"), user_error, error.code == "file.unreadable" || error.code == "file.not-found");
}

int main() {
    const scratch_folder folder("moebius-bad-file");
    for (const auto * cases : { &header_cases, &tensor_cases, &hparam_cases, &tokenizer_cases }) {
        for (const bad_file & bad : *cases) {
            check_bad(folder, bad);
        }
    }
    check_truncations(folder);
    return check_result();
}
