// What inspect says about models whose truth is known.
#include "check.h"
#include "gguf-document.h"
#include "model/inspect.h"
#include "model/utf8.h"

#include <limits>

using namespace moebius;
using namespace moebius_test;

static json inspect(const scratch_folder & folder, const gguf_document & document) {
    return inspect_model(gguf_open(folder.write("model.gguf", document.file())));
}

static const json & row_of(const json & inspection, const std::string & tensor_class) {
    for (const json & row : inspection["quantisation"]) {
        if (row["tensorClass"] == tensor_class) {
            return row;
        }
    }
    throw std::out_of_range(tensor_class);
}

static void check_shipped_model() {
    const json it = inspect_model(gguf_open(MOEBIUS_TINY_MODEL));
    CHECK_EQUAL(it["architecture"], "qwen3moe");
    CHECK_EQUAL(it["layerCount"], 4);
    CHECK(it["moeLayers"] == json({ 0, 1, 2, 3 }));
    CHECK_EQUAL(it["expertCount"], 32);
    CHECK_EQUAL(it["expertUsedCount"], 2);
    CHECK_EQUAL(it["sharedExpertCount"], 0);
    CHECK_EQUAL(it["expertFeedForwardLength"], 256);
    CHECK_EQUAL(it["headCountKv"], 4);
    CHECK_EQUAL(it["vocabularySize"], 4096);
    CHECK_EQUAL(it["fileType"], "Q8_0");
    // 4 layers of 32 experts of 3 matrices 256 x 256, and the rest
    const double routed = 4.0 * 32 * 3 * 256 * 256;
    const double rest   = 4096.0 * 256 + 256 + 4 * (2 * 256 * 128 + 2 * 256 * 256 + 2 * 32 + 2 * 256 + 256 * 32);
    CHECK_EQUAL(it["parameterCount"].get<double>(), routed + rest);
    CHECK_EQUAL(it["activeParameterCount"].get<double>(), routed * 2 / 32 + rest);  // embeddings are tied: all of them
    CHECK_EQUAL(it["bytesPerExpert"], 3 * 256 * 256 / 32 * 34);
    CHECK_EQUAL(row_of(it, "experts")["tensorCount"], 12);
    CHECK_EQUAL(row_of(it, "experts")["types"][0]["type"], "q8_0");
    CHECK_EQUAL(row_of(it, "router")["types"][0]["type"], "f32");
    CHECK_EQUAL(it["metadata"]["tokenizer.ggml.tokens"], "[4096 x str]");
    CHECK(it["chatTemplate"].get<std::string>().find("<|im_start|>") != std::string::npos);
}

static void check_shared_experts_and_output(const scratch_folder & folder) {
    gguf_document d = small_document();
    d.put_string("general.architecture", "qwen2moe");
    for (document_key & entry : d.keys) {
        if (entry.key.compare(0, 9, "qwen3moe.") == 0) {
            entry.key = "qwen2moe." + entry.key.substr(9);
        }
    }
    const json before = inspect(folder, d);
    d.add("blk.0.ffn_gate_shexp.weight", { 32, 8 });
    d.add("blk.0.ffn_gate_inp_shexp.weight", { 32 });
    d.add("output.weight", { 32, 16 });
    const json it = inspect(folder, d);
    CHECK_EQUAL(it["sharedExpertCount"], 1);
    CHECK_EQUAL(row_of(it, "sharedExperts")["parameterCount"].get<double>(), 32 * 8 + 32);
    CHECK_EQUAL(row_of(it, "output")["tensorCount"], 1);
    CHECK_EQUAL(it["fileType"], "F32");
    // with an output matrix of its own the embedding table counts one row of 16
    CHECK_EQUAL(it["activeParameterCount"].get<double>(), before["activeParameterCount"].get<double>() - 32 * 15 + 32 * 8 + 32 + 32 * 16);
}

static void check_prediction_layers(const scratch_folder & folder) {
    gguf_document d    = small_document();
    const json    base = inspect(folder, d);
    d.put_u32("qwen3moe.block_count", 2);
    d.put_u32("qwen3moe.nextn_predict_layers", 1);
    d.add("blk.1.ffn_up_exps.weight", { 32, 32, 4 });
    const json it = inspect(folder, d);
    CHECK_EQUAL(it["layerCount"], 1);
    CHECK(it["moeLayers"] == json({ 0 }));
    CHECK_EQUAL(it["activeParameterCount"], base["activeParameterCount"]);
    CHECK_EQUAL(it["parameterCount"].get<double>(), base["parameterCount"].get<double>() + 32 * 32 * 4);
}

static void check_metadata_for_display(const scratch_folder & folder) {
    gguf_document d = small_document();
    d.put_string("general.description", std::string(1999, 'a') + "\xC3\xA9" + std::string(3000, 'b'));
    d.put_string("general.name", "bad \xFF name");
    d.put_f32("general.odd", std::numeric_limits<float>::infinity());
    d.put("general.large", GGUF_TYPE_UINT64, raw(~uint64_t(0)));
    const json        it   = inspect(folder, d);
    const std::string text = it["metadata"]["general.description"];
    CHECK_EQUAL(text, std::string(1999, 'a') + "... [5001 bytes]");  // never half a character
    CHECK_EQUAL(it["description"].get<std::string>().size(), size_t(5001));
    CHECK_EQUAL(it["name"], "bad \xEF\xBF\xBD name");
    CHECK_EQUAL(it["metadata"]["general.odd"], "inf");
    CHECK(it["metadata"]["general.large"].get<double>() > 1.8e19);
    CHECK(it["license"].is_null());
    CHECK(!it.dump().empty());  // valid UTF-8, or this throws
}

static void check_classes() {
    const auto name_of = [](const char * tensor) { return std::string(tensor_class_name(classify_tensor(tensor))); };
    CHECK_EQUAL(name_of("token_embd.weight"), "embedding");
    CHECK_EQUAL(name_of("output.weight"), "output");
    CHECK_EQUAL(name_of("output_norm.weight"), "norm");
    CHECK_EQUAL(name_of("blk.0.attn_q.weight"), "attention");
    CHECK_EQUAL(name_of("blk.0.attn_q_norm.weight"), "norm");
    CHECK_EQUAL(name_of("blk.10.ffn_gate_inp.weight"), "router");
    CHECK_EQUAL(name_of("blk.10.exp_probs_b.bias"), "router");
    CHECK_EQUAL(name_of("blk.10.ffn_gate_inp_shexp.weight"), "sharedExperts");
    CHECK_EQUAL(name_of("blk.10.ffn_up_shexp.weight"), "sharedExperts");
    CHECK_EQUAL(name_of("blk.10.ffn_gate_up_exps.weight"), "experts");
    CHECK_EQUAL(name_of("blk.10.ffn_down_exps.bias"), "experts");
    CHECK_EQUAL(name_of("blk.10.ffn_down.7.weight"), "experts");
    CHECK_EQUAL(name_of("blk.0.ffn_down.weight"), "denseFfn");
    CHECK_EQUAL(name_of("blk.0.ssm_conv1d.weight"), "other");
    CHECK_EQUAL(name_of("rope_freqs.weight"), "other");
}

static void check_utf8() {
    CHECK_EQUAL(utf8_repair("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"), "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
    CHECK_EQUAL(utf8_repair("\xC0\xAF"), "\xEF\xBF\xBD\xEF\xBF\xBD");          // overlong
    CHECK_EQUAL(utf8_repair("\xED\xA0\x80").size(), size_t(9));                // surrogate
    CHECK_EQUAL(utf8_repair("x\xE2\x82"), "x\xEF\xBF\xBD\xEF\xBF\xBD");        // cut
    CHECK_EQUAL(utf8_prefix("a\xC3\xA9", 2), "a");
    CHECK_EQUAL(utf8_quote("a\nb"), "a\\x0ab");
}

int main() {
    const scratch_folder folder("moebius-inspect");
    check_shipped_model();
    check_shared_experts_and_output(folder);
    check_prediction_layers(folder);
    check_metadata_for_display(folder);
    check_classes();
    check_utf8();
    return check_result();
}
