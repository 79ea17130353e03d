// Adapters of random numbers on a model, and logits of stock llama.cpp with and without them.
#pragma once

#include "check.h"
#include "gguf-document.h"
#include "model/backends.h"
#include "model/gguf-file.h"
#include "model/llama-log.h"
#include "model/tensor-class.h"
#include "rpc/errors.h"
#include "train/adapter/adapter.h"

#include <ggml-cpp.h>
#include <llama-cpp.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace moebius_test {

using namespace moebius;

struct adapter_maker {
    const gguf_model & base;
    std::mt19937_64    random{ 1 };
    adapter            made{ base.architecture(), {}, {} };

    size_t parameter(const std::string & name, int64_t n0, int64_t n1, int64_t n2, float spread) {
        std::normal_distribution<float> normal(0, 1);
        train_parameter                 one{ name, n0, n1, n2, std::vector<float>(size_t(n0 * n1 * n2)), {} };
        for (float & value : one.values) {
            value = spread * normal(random);
        }
        one.gradient.assign(one.values.size(), 0);
        made.parameters.push_back(one);
        return made.parameters.size() - 1;
    }

    // spread 0: `b` is zero
    void pair(const std::string & name, int64_t lora_rank, float lora_alpha, float spread, bool is_rank_stabilised = false) {
        const gguf_tensor & of = *base.find_tensor(name);
        const size_t        a  = parameter(name + ".lora_a", of.ne[0], lora_rank, of.ne[2], 0.1f);
        const size_t        b  = parameter(name + ".lora_b", lora_rank, of.ne[1], of.ne[2], spread);
        made.tensors.push_back({ name, a, b, lora_rank, lora_alpha, is_rank_stabilised });
    }

    void whole(const std::string & name, float spread) {
        const gguf_tensor & of = *base.find_tensor(name);
        parameter(name, of.ne[0], of.ne[1], of.ne[2], spread);
    }
};

// Attention (or of it the output alone), all experts' gate, up and down, shared ones too, and the router of every layer.
inline adapter everywhere(const gguf_model & base, int64_t lora_rank, float lora_alpha, float spread, bool with_all_attention = true) {
    adapter_maker maker{ base };
    for (const gguf_tensor & tensor : base.tensors) {
        const tensor_class kind       = classify_tensor(tensor.name);
        const bool         is_wanted  = with_all_attention || kind != tensor_class::attention || tensor_base(tensor.name) == "attn_output";
        const bool         is_adapted = kind == tensor_class::attention || kind == tensor_class::experts || kind == tensor_class::shared_experts || kind == tensor_class::router;
        if (is_wanted && is_adapted && tensor_suffix(tensor.name) == "weight") {
            maker.pair(tensor.name, lora_rank, lora_alpha, spread);
        }
    }
    return maker.made;
}

inline bool same_adapter(const adapter & x, const adapter & y) {
    bool same = x.architecture == y.architecture && x.parameters.size() == y.parameters.size() && x.tensors.size() == y.tensors.size();
    for (size_t i = 0; same && i < x.parameters.size(); i++) {
        const train_parameter &p = x.parameters[i], &q = y.parameters[i];
        same = p.name == q.name && p.n0 == q.n0 && p.n1 == q.n1 && p.n2 == q.n2 && p.values.size() == q.values.size() && p.gradient == q.gradient &&
               std::memcmp(p.values.data(), q.values.data(), p.values.size() * sizeof(float)) == 0;
    }
    for (size_t i = 0; same && i < x.tensors.size(); i++) {
        const adapted_tensor &p = x.tensors[i], &q = y.tensors[i];
        same = p.base == q.base && p.a == q.a && p.b == q.b && p.lora_rank == q.lora_rank && p.lora_alpha == q.lora_alpha && p.is_rank_stabilised == q.is_rank_stabilised;
    }
    return same;
}

// Wants the logits of all its tokens; free it.
inline llama_batch batch_of_a_text(int32_t tokens) {
    llama_batch batch = llama_batch_init(tokens, 0, 1);
    for (int32_t i = 0; i < tokens; i++) {
        batch.token[i]     = 20 + 37 * i % 200;
        batch.pos[i]       = i;
        batch.n_seq_id[i]  = 1;
        batch.seq_id[i][0] = 0;
        batch.logits[i]    = 1;
    }
    batch.n_tokens = tokens;
    return batch;
}

// Of all tokens of a text. Everything in F32 that llama.cpp lets be so, one thread. adapter_path empty: none.
// Empty: the model or the adapter was not loaded.
inline std::vector<float> stock_logits(const std::string & model_path, const std::string & adapter_path) {
    llama_model_params model_parameters = llama_model_default_params();
    model_parameters.n_gpu_layers       = 0;
    model_parameters.use_extra_bufts    = false;
    llama_model_ptr model(llama_model_load_from_file(model_path.c_str(), model_parameters));
    if (model == nullptr) {
        return {};
    }
    llama_context_params parameters = llama_context_default_params();
    parameters.n_ctx                = 64;
    parameters.n_threads = parameters.n_threads_batch = 1;
    parameters.type_k = parameters.type_v = GGML_TYPE_F32;
    parameters.flash_attn_type            = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    llama_context_ptr context(llama_init_from_model(model.get(), parameters));
    if (!adapter_path.empty()) {
        llama_adapter_lora * loaded = llama_adapter_lora_init(model.get(), adapter_path.c_str());
        float                scale  = 1;
        if (loaded == nullptr || llama_set_adapters_lora(context.get(), &loaded, 1, &scale) != 0) {
            return {};
        }
    }
    llama_batch        batch = batch_of_a_text(24);
    const size_t       count = size_t(batch.n_tokens) * size_t(llama_vocab_n_tokens(llama_model_get_vocab(model.get())));
    std::vector<float> logits;
    if (llama_decode(context.get(), batch) == 0) {
        logits.assign(llama_get_logits(context.get()), llama_get_logits(context.get()) + count);
    }
    llama_batch_free(batch);
    return logits;
}

inline double largest_of(const std::vector<float> & values) {
    double most = 0;
    for (const float value : values) {
        most = std::max(most, double(std::fabs(value)));
    }
    return most;
}

// As a share of the largest of y.
inline double share_of_difference(const std::vector<float> & x, const std::vector<float> & y) {
    double most = x.size() == y.size() && !x.empty() ? 0 : INFINITY;
    for (size_t i = 0; i < std::min(x.size(), y.size()); i++) {
        most = std::max(most, std::fabs(double(x[i]) - double(y[i])));
    }
    return most / largest_of(y);
}

}  // namespace moebius_test
