// PEFT exports, read back by hand: names, shapes, and the change of every weight in Transformers' order of rows.
#include "train-adapters.h"

#include "train/export/peft-export.h"
#include "train/export/peft-names.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

using namespace moebius_test;

struct read_tensor {
    std::vector<int64_t> shape;
    std::vector<float>   values;
};

// By the format's description, not by our code.
static std::map<std::string, read_tensor> read_safetensors(const std::string & path) {
    std::ifstream     file(std::filesystem::u8path(path), std::ios::binary);
    const std::string bytes(std::istreambuf_iterator<char>(file), {});
    uint64_t          length = 0;
    std::memcpy(&length, bytes.data(), 8);
    CHECK_EQUAL((8 + length) % 8, uint64_t(0));
    const json header = json::parse(bytes.substr(8, length));
    CHECK(header["__metadata__"]["format"] == "pt");
    std::map<std::string, read_tensor> tensors;
    uint64_t                           next = 0;
    for (const auto & [name, entry] : header.items()) {
        if (name == "__metadata__") {
            continue;
        }
        CHECK(entry["dtype"] == "F32");
        const uint64_t begin = entry["data_offsets"][0], end = entry["data_offsets"][1];
        CHECK_EQUAL(begin, next);
        next = end;
        read_tensor tensor{ entry["shape"], std::vector<float>((end - begin) / 4) };
        CHECK_EQUAL(uint64_t(tensor.shape[0] * tensor.shape[1] * 4), end - begin);
        std::memcpy(tensor.values.data(), bytes.data() + 8 + length + begin, end - begin);
        tensors.emplace(name, tensor);
    }
    CHECK_EQUAL(8 + length + next, uint64_t(bytes.size()));
    return tensors;
}

struct peft_files {
    std::map<std::string, read_tensor> tensors;
    json                               config;

    const read_tensor & at(const std::string & name) const {
        const auto found = tensors.find("base_model.model." + name + ".weight");
        report(found != tensors.end(), __FILE__, __LINE__, "there is no " + name);
        static const read_tensor none;
        return found == tensors.end() ? none : found->second;
    }
    // of a module or parameter as PEFT finds it
    double scale(const std::string & target) const {
        return config["alpha_pattern"].value(target, config["lora_alpha"].get<double>()) / double(config["rank_pattern"].value(target, config["r"].get<int64_t>()));
    }
};

static peft_files exported(const adapter & trained, const gguf_model & base, const scratch_folder & folder) {
    const std::string into = folder.path("peft");
    peft_write(trained, base, "some/base", into);
    std::ifstream config(std::filesystem::u8path(into + "/adapter_config.json"));
    return { read_safetensors(into + "/adapter_model.safetensors"), json::parse(config) };
}

// PEFT's "o r e, e r i -> e o i": A.reshape(E, r, in), B.reshape(out, r, E).
static double peft_delta(const read_tensor & a, const read_tensor & b, int64_t experts, double scale, int64_t expert, int64_t row, int64_t column) {
    const int64_t n_in = a.shape[1], rank = a.shape[0] / experts;
    double        sum  = 0;
    for (int64_t k = 0; k < rank; k++) {
        sum += double(a.values[size_t((expert * rank + k) * n_in + column)]) * double(b.values[size_t((row * rank + k) * experts + expert)]);
    }
    return scale * sum;
}

static double own_delta(const adapter & trained, const std::string & base, int64_t expert, int64_t row, int64_t column) {
    for (const adapted_tensor & tensor : trained.tensors) {
        if (tensor.base == base) {
            const train_parameter & a = trained.parameters[tensor.a], & b = trained.parameters[tensor.b];
            double                  sum = 0;
            for (int64_t k = 0; k < tensor.lora_rank; k++) {
                sum += double(a.values[size_t((expert * a.n1 + k) * a.n0 + column)]) * double(b.values[size_t((expert * b.n1 + row) * b.n0 + k)]);
            }
            return double(tensor.scale()) * sum;
        }
    }
    return 0;
}

// The largest difference over all weights of all experts. `own_row`: of the GGUF tensor, for a row of Transformers'.
template <typename F>
static double difference(const peft_files & files, const std::string & prefix, const std::string & target, const adapter & trained, const std::string & base, int64_t experts,
                         int64_t first_row, int64_t rows, F && own_row) {
    const read_tensor & a = files.at(prefix + ".lora_A"), & b = files.at(prefix + ".lora_B");
    double              most = 0;
    for (int64_t expert = 0; !a.shape.empty() && expert < experts; expert++) {
        for (int64_t row = 0; row < rows; row++) {
            for (int64_t column = 0; column < a.shape[1]; column++) {
                const double peft = peft_delta(a, b, experts, files.scale(target), expert, first_row + row, column);
                most              = std::max(most, std::fabs(peft - own_delta(trained, base, expert, own_row(row), column)));
            }
        }
    }
    return most;
}

static int64_t same_row(int64_t row) {
    return row;
}

// Scales are divided and multiplied once in F32.
constexpr double delta_tolerance = 1e-6;

static void every_experts_change_is_in_it(const gguf_model & base, const scratch_folder & folder) {
    adapter_maker maker{ base };
    maker.pair("blk.0.attn_q.weight", 4, 8, 0.3f);
    maker.pair("blk.0.ffn_up_exps.weight", 2, 6, 0.3f);
    maker.pair("blk.0.ffn_gate_exps.weight", 3, 6, 0.3f, true);
    maker.pair("blk.0.ffn_down_exps.weight", 4, 8, 0.3f);
    maker.pair("blk.0.ffn_gate_inp.weight", 2, 8, 0.3f);
    maker.pair("blk.1.ffn_up_exps.weight", 2, 6, 0.3f);
    const peft_files  files   = exported(maker.made, base, folder);
    const gguf_tensor gate    = *base.find_tensor("blk.0.ffn_gate_exps.weight");
    const int64_t     experts = gate.ne[2], n_ff = gate.ne[1], n_embd = gate.ne[0];
    const std::string of = "model.layers.0.";
    CHECK_EQUAL(files.tensors.size(), size_t(10));
    CHECK(files.at(of + "mlp.experts.base_layer.lora_A").shape == std::vector<int64_t>({ experts * 5, n_embd }));
    CHECK(files.at(of + "mlp.experts.base_layer.lora_B").shape == std::vector<int64_t>({ 2 * n_ff, 5 * experts }));
    CHECK(files.at(of + "mlp.experts.lora_A").shape == std::vector<int64_t>({ experts * 4, n_ff }));
    CHECK(files.at(of + "mlp.experts.lora_B").shape == std::vector<int64_t>({ n_embd, 4 * experts }));
    CHECK(files.at("model.layers.1.mlp.experts.lora_B").shape == std::vector<int64_t>({ 2 * n_ff, 2 * experts }));  // nothing is wrapped around it

    const std::string inner = of + "mlp.experts.base_layer", fused = of + "mlp.experts.gate_up_proj";
    CHECK_NEAR(difference(files, inner, fused, maker.made, "blk.0.ffn_gate_exps.weight", experts, 0, n_ff, same_row), 0, delta_tolerance);
    CHECK_NEAR(difference(files, inner, fused, maker.made, "blk.0.ffn_up_exps.weight", experts, n_ff, n_ff, same_row), 0, delta_tolerance);
    CHECK_NEAR(difference(files, of + "mlp.experts", of + "mlp.experts.down_proj", maker.made, "blk.0.ffn_down_exps.weight", experts, 0, n_embd, same_row), 0, delta_tolerance);
    CHECK_NEAR(difference(files, of + "mlp.gate", of + "mlp.gate.weight", maker.made, "blk.0.ffn_gate_inp.weight", 1, 0, experts, same_row), 0, delta_tolerance);
    CHECK_NEAR(difference(files, of + "self_attn.q_proj", of + "self_attn.q_proj", maker.made, "blk.0.attn_q.weight", 1, 0, n_embd, same_row), 0, delta_tolerance);
    const std::string other = "model.layers.1.mlp.experts";  // gate is not adapted: its rows of the parameter don't change
    CHECK_NEAR(difference(files, other, other + ".gate_up_proj", maker.made, "no such tensor", experts, 0, n_ff, same_row), 0, 0);
    CHECK_NEAR(difference(files, other, other + ".gate_up_proj", maker.made, "blk.1.ffn_up_exps.weight", experts, n_ff, n_ff, same_row), 0, delta_tolerance);

    CHECK(files.config["target_modules"] == json::array({ "model.layers.0.self_attn.q_proj" }));
    const std::set<std::string> parameters = files.config["target_parameters"];
    CHECK(parameters == std::set<std::string>({ fused, of + "mlp.experts.down_proj", of + "mlp.gate.weight", other + ".gate_up_proj" }));
    CHECK(files.config["peft_type"] == "LORA" && files.config["base_model_name_or_path"] == "some/base" && files.config["lora_dropout"] == 0.0);
}

// A llama of two query heads and one of keys, eight rows each; Transformers' rows by llama.cpp's convert_hf_to_gguf.py: reshape(heads, 2, size / 2), swap, flatten.
static void rows_of_q_and_k_return_to_transformers_order(const scratch_folder & folder) {
    gguf_document d = small_document();
    for (document_key & key : d.keys) {
        if (key.key.compare(0, 9, "qwen3moe.") == 0) {
            key.key = "llama." + key.key.substr(9);
        }
    }
    d.put_string("general.architecture", "llama");
    const gguf_model base = gguf_open(folder.write("llama.gguf", d.file()));
    adapter_maker    maker{ base };
    maker.pair("blk.0.attn_q.weight", 2, 4, 0.3f);
    maker.pair("blk.0.attn_k.weight", 2, 4, 0.3f);
    maker.pair("blk.0.attn_v.weight", 2, 4, 0.3f);
    maker.pair("blk.0.ffn_down_exps.weight", 2, 4, 0.3f);
    const peft_files files = exported(maker.made, base, folder);
    const int64_t    size  = 16;  // rows of a head
    std::vector<int64_t> gguf_row_of(32);
    for (int64_t head = 0; head < 2; head++) {
        int64_t gguf_row = head * size;
        for (int64_t of_pair = 0; of_pair < size / 2; of_pair++) {
            for (int64_t half = 0; half < 2; half++) {
                gguf_row_of[size_t(head * size + half * size / 2 + of_pair)] = gguf_row++;
            }
        }
    }
    CHECK_EQUAL(gguf_row_of[1], int64_t(2));
    const auto        permuted = [&](int64_t row) { return gguf_row_of[size_t(row)]; };
    const std::string q = "model.layers.0.self_attn.q_proj", k = "model.layers.0.self_attn.k_proj", v = "model.layers.0.self_attn.v_proj";
    CHECK_NEAR(difference(files, q, q, maker.made, "blk.0.attn_q.weight", 1, 0, 32, permuted), 0, delta_tolerance);
    CHECK_NEAR(difference(files, k, k, maker.made, "blk.0.attn_k.weight", 1, 0, 16, permuted), 0, delta_tolerance);
    CHECK_NEAR(difference(files, v, v, maker.made, "blk.0.attn_v.weight", 1, 0, 16, same_row), 0, delta_tolerance);
    CHECK(difference(files, q, q, maker.made, "blk.0.attn_q.weight", 1, 0, 32, same_row) > 1000 * delta_tolerance);
    CHECK(peft_target_of(base, "blk.0.ffn_gate_exps.weight").name() == "model.layers.0.mlp.experts.gate_up_proj");
}

static gguf_model named(const std::string & architecture, int64_t experts) {
    gguf_model         model;
    gguf_value         name;
    const auto         add = [&](const std::string & key, const gguf_value & value) {
        model.metadata_index.emplace(key, model.metadata.size());
        model.metadata.emplace_back(key, value);
    };
    name.type    = GGUF_TYPE_STRING;
    name.strings = { architecture };
    add("general.architecture", name);
    for (const auto & [key, number] : std::map<std::string, uint32_t>{ { "expert_count", uint32_t(experts) }, { "attention.head_count", 8 }, { "attention.head_count_kv", 2 } }) {
        gguf_value value;
        value.type = GGUF_TYPE_UINT32;
        value.bytes.resize(4);
        std::memcpy(value.bytes.data(), &number, 4);
        add(architecture + "." + key, value);
    }
    return model;
}

static void architectures_have_their_names(const scratch_folder & folder) {
    const auto is = [](const std::string & architecture, int64_t experts, const char * tensor, const char * target, int64_t heads = 0) {
        const peft_target found = peft_target_of(named(architecture, experts), tensor);
        CHECK_EQUAL(found.name(), std::string(target));
        CHECK_EQUAL(found.permuted_heads, heads);
    };
    is("qwen3moe", 4, "blk.12.attn_output.weight", "model.layers.12.self_attn.o_proj");
    is("qwen2moe", 4, "blk.1.ffn_down_exps.weight", "model.layers.1.mlp.experts.down_proj");
    is("olmoe", 4, "blk.1.attn_q.weight", "model.layers.1.self_attn.q_proj");
    is("llama", 4, "blk.1.attn_q.weight", "model.layers.1.self_attn.q_proj", 8);
    is("llama", 0, "blk.1.attn_k.weight", "model.layers.1.self_attn.k_proj", 2);
    is("llama", 0, "blk.1.ffn_up.weight", "model.layers.1.mlp.up_proj");
    is("llama", 0, "output.weight", "lm_head");
    is("qwen3", 0, "blk.1.attn_k.weight", "model.layers.1.self_attn.k_proj");
    is("granitemoe", 4, "blk.1.attn_k.weight", "model.layers.1.self_attn.k_proj", 2);
    is("granitemoe", 4, "blk.1.ffn_gate_inp.weight", "model.layers.1.block_sparse_moe.router.weight");
    is("granitemoe", 4, "blk.1.ffn_up_exps.weight", "model.layers.1.block_sparse_moe.experts.gate_up_proj");
    is("deepseek2", 4, "blk.1.attn_kv_a_mqa.weight", "model.layers.1.self_attn.kv_a_proj_with_mqa");

    const auto refused = [](const std::string & architecture, const char * tensor, const char * reason) {
        CHECK_THROWS(peft_target_of(named(architecture, 4), tensor), user_error, error.code == "model.unsupported" && std::string(error.what()).find(reason) != std::string::npos);
    };
    refused("deepseek2", "blk.1.attn_k_b.weight", "kv_b_proj");
    refused("qwen2moe", "blk.1.ffn_up_shexp.weight", "routed experts");
    refused("qwen3moe", "token_embd.weight", "no place");
    refused("gpt-oss", "blk.1.attn_q.weight", "gpt-oss");

    const gguf_model tiny = gguf_open(MOEBIUS_TINY_MODEL);
    adapter_maker    maker{ tiny };
    maker.pair("blk.0.attn_q.weight", 2, 4, 0.1f);
    maker.whole("output_norm.weight", 1);
    CHECK_THROWS(peft_write(maker.made, tiny, "", folder.path("refused")), user_error, error.code == "model.unsupported");
    CHECK(!std::filesystem::exists(folder.path("refused")));
}

int main() {
    llama_log_install();
    backends_load();
    const scratch_folder folder("moebius-peft");
    every_experts_change_is_in_it(gguf_open(MOEBIUS_TINY_MODEL), folder);
    rows_of_q_and_k_return_to_transformers_order(folder);
    architectures_have_their_names(folder);
    return check_result();
}
