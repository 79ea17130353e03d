#include "train-reference.h"

#include "same-numbers.h"

#include <ggml-cpp.h>
#include <gguf.h>

#include <cstring>

namespace moebius_test {

using namespace moebius;

namespace {

void set_numbers(gguf_context * file, const char * key, gguf_type type, const void * data, size_t count) { gguf_set_arr_data(file, key, type, data, count); }

std::vector<int32_t> as_int32(const std::vector<int64_t> & values) { return std::vector<int32_t>(values.begin(), values.end()); }

adapter_settings everything() {
    adapter_settings settings;
    settings.attention   = { 4, 8, false };
    settings.experts     = { 2, 3, false };
    settings.shared      = { 2, 4, true };
    settings.router      = { 3, 6, false };
    settings.whole_norms = true;
    settings.seed        = 3;
    return settings;
}

reference_case quantised(const char * name, ggml_type type) {
    reference_case of{ name, {}, everything(), { 0.3f, 0.02f }, { 9, 14 } };
    of.base.architecture = "qwen3moe";
    of.base.type         = type;
    of.base.n_embd = of.base.n_ff = 256;  // a K-quant's block
    of.base.head                  = 64;
    of.base.layers                = 1;
    of.base.experts               = 4;
    return of;
}

void set_adapted(gguf_context * file, const adapter & trained) {
    std::vector<const char *> bases;
    std::vector<int32_t>      ranks;
    std::vector<float>        alphas;
    std::vector<int8_t>       stabilised;
    for (const adapted_tensor & tensor : trained.tensors) {
        bases.push_back(tensor.base.c_str());
        ranks.push_back(int32_t(tensor.lora_rank));
        alphas.push_back(tensor.lora_alpha);
        stabilised.push_back(tensor.is_rank_stabilised);
    }
    gguf_set_arr_str(file, "lora.base", bases.data(), bases.size());
    set_numbers(file, "lora.rank", GGUF_TYPE_INT32, ranks.data(), ranks.size());
    set_numbers(file, "lora.alpha", GGUF_TYPE_FLOAT32, alphas.data(), alphas.size());
    set_numbers(file, "lora.is_rank_stabilised", GGUF_TYPE_BOOL, stabilised.data(), stabilised.size());
}

void set_batch(gguf_context * file, const token_batch & batch) {
    const std::vector<int32_t> lengths = as_int32(batch.lengths);
    set_numbers(file, "lengths", GGUF_TYPE_INT32, lengths.data(), lengths.size());
    set_numbers(file, "tokens", GGUF_TYPE_INT32, batch.tokens.data(), batch.tokens.size());
    set_numbers(file, "rows", GGUF_TYPE_INT32, batch.rows.data(), batch.rows.size());
    set_numbers(file, "labels", GGUF_TYPE_INT32, batch.labels.data(), batch.labels.size());
    set_numbers(file, "weights", GGUF_TYPE_FLOAT32, batch.weights.data(), batch.weights.size());
}

}  // namespace

const std::vector<reference_case> & reference_cases() {
    static const std::vector<reference_case> all = [] {
        std::vector<reference_case> cases;
        for (const small_base & base : small_bases()) {
            cases.push_back({ base.name, base, everything(), { 0.3f, base.has_sigmoids ? 0 : 0.02f }, { 9, 6, 11 } });
            cases.back().trained.ffn = { base.dense_layers > 0 ? 2 : 0, 4, false };
        }
        cases.push_back({ "qwen3moe-whole-router", small_bases().front(), everything(), { 0.1f, 0.1f }, { 4 } });  // 4 tokens: experts without any
        cases.back().trained.router       = {};
        cases.back().trained.whole_router = true;
        for (const small_base & base : dense_bases()) {
            cases.push_back({ base.architecture + "-dense", base, {}, {}, { 9, 6 } });
            cases.back().trained.attention = cases.back().trained.ffn = { 3, 5, false };
            cases.back().trained.whole_norms                          = true;
        }
        for (const small_base & base : dense_bases()) {
            cases.push_back({ base.architecture + "-mixture", base, {}, { 0.3f, 0.02f }, { 9, 6 } });
            cases.back().trained.attention   = { 3, 5, false };
            cases.back().trained.mixture     = { { 2, 3, true }, 4, 2 };
            cases.back().trained.whole_norms = true;
        }
        cases.push_back({ "qwen3-mixture-of-many", dense_bases().back(), {}, { 0.1f, 0.1f }, { 4 } });  // experts without any tokens
        cases.back().trained.mixture = { { 2, 3, false }, 12, 2 };
        cases.push_back({ "tied-ends", small_bases().front(), {}, { 0.1f, 0.1f }, { 7, 5 } });  // small: all rows of the embedding are in the file
        cases.back().base.is_tied = true;
        cases.back().base.n_embd  = 16;
        cases.back().base.layers  = 1;
        cases.back().trained.whole_norms = cases.back().trained.whole_embedding = true;
        cases.push_back(quantised("qwen3moe-q8_0", GGML_TYPE_Q8_0));
        cases.push_back(quantised("qwen3moe-q4_k", GGML_TYPE_Q4_K));
        return cases;
    }();
    return all;
}

adapter reference_adapter(const reference_case & of, const gguf_model & base) {
    adapter_settings settings = of.trained;
    if (!of.base.has_shared) {
        settings.shared = {};
    }
    adapter      trained = new_adapter(base, settings);
    same_numbers random(of.name);
    for (train_parameter & parameter : trained.parameters) {
        for (float & value : parameter.values) {
            value += 0.05f * random.next();
        }
    }
    return trained;
}

token_batch reference_batch(const reference_case & of) {
    token_batch  batch;
    same_numbers random(of.name + " batch");
    batch.lengths = of.lengths;
    for (const int64_t length : of.lengths) {
        const int32_t begin = int32_t(batch.tokens.size());
        for (int32_t i = 0; i < int32_t(length); i++) {
            batch.tokens.push_back(int32_t(random.below(300)));
            batch.positions.push_back(i);
            if (i >= 2) {  // the first ones are not learnt
                batch.rows.push_back(begin + i - 1);
                batch.labels.push_back(batch.tokens.back());
                batch.weights.push_back(0.5f + 0.125f * float(i % 3));
            }
        }
    }
    return batch;
}

void write_reference_case(const reference_case & of, const adapter & trained, const std::string & path) {
    const gguf_context_ptr file(gguf_init_empty());
    const ggml_context_ptr tensors(ggml_init({ 16 << 20, nullptr, false }));
    set_adapted(file.get(), trained);
    set_batch(file.get(), reference_batch(of));
    gguf_set_val_f32(file.get(), "factor.balance", of.factors.balance);
    gguf_set_val_f32(file.get(), "factor.z", of.factors.z);
    if (trained.mixture.experts > 0) {
        gguf_set_val_u32(file.get(), "mixture.expert_count", uint32_t(trained.mixture.experts));
        gguf_set_val_u32(file.get(), "mixture.expert_used_count", uint32_t(trained.mixture.experts_used));
    }
    for (const train_parameter & parameter : trained.parameters) {
        ggml_tensor * const tensor = ggml_new_tensor_3d(tensors.get(), GGML_TYPE_F32, parameter.n0, parameter.n1, parameter.n2);
        ggml_set_name(tensor, parameter.name.c_str());
        std::memcpy(tensor->data, parameter.values.data(), ggml_nbytes(tensor));
        gguf_add_tensor(file.get(), tensor);
    }
    gguf_write_to_file(file.get(), path.c_str(), false);
}

}  // namespace moebius_test
