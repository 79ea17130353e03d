// The frozen weights of a base model but for its routed experts, as tensors of a device with the names that they have in the file.
#pragma once

#include "base-shape.h"
#include "train/graph/runner.h"

#include <unordered_map>

namespace moebius {

// Of latent attention (DeepSeek-V2, arXiv 2405.04434), in the place of q, k and v.
struct latent_weights {
    ggml_tensor *q_down = nullptr, *q_norm = nullptr, *q = nullptr;  // without the first two, q takes the token's state
    ggml_tensor *kv_down = nullptr, *kv_norm = nullptr;              // [n_embd, latent + turned numbers that heads share], [latent]
    ggml_tensor *kv = nullptr;                // [latent, heads * (straight numbers of k, v)], or its halves:
    ggml_tensor *k = nullptr, *v = nullptr;   // [straight, latent, heads] (transposed), [latent, v, heads]
};

struct attention_weights {
    ggml_tensor *norm = nullptr, *q = nullptr, *k = nullptr, *v = nullptr, *output = nullptr;
    ggml_tensor *q_bias = nullptr, *k_bias = nullptr, *v_bias = nullptr, *output_bias = nullptr;  // null: there is none; so on below
    ggml_tensor *q_norm = nullptr, *k_norm = nullptr;
    latent_weights latent;
};

// An FFN that every token goes through: beside its experts, or alone.
struct ffn_weights {
    ggml_tensor *gate = nullptr, *up = nullptr, *down = nullptr;
};

struct shared_weights {
    ggml_tensor *weight = nullptr;  // [n_embd], whose sigmoid weighs it
    ffn_weights  ffn;
};

struct layer_weights {
    attention_weights attention;
    ggml_tensor *     norm = nullptr;         // of the FFN
    ffn_weights       dense;                  // or, without it, experts:
    ggml_tensor *     router = nullptr;
    ggml_tensor *     choice_bias = nullptr;  // [experts], added to scores for the choice alone
    shared_weights    shared;
};

class base_weights {
  public:
    // Reads all of them into the device's memory. Throws user_error model.unsupported (a tensor is missing, or is there that the graph does not know),
    // model.does-not-fit, file.unreadable.
    base_weights(const gguf_model & file, const base_shape & shape, ggml_backend_dev_t device);

    const layer_weights & layer(int64_t i) const { return layers[size_t(i)]; }
    ggml_tensor *         embedding() const { return tokens; }  // [n_embd, vocabulary]
    ggml_tensor *         norm() const { return last_norm; }
    ggml_tensor *         head() const { return output; }  // [n_embd, vocabulary], the embedding if they are tied

    // Of positions' frequencies, for a batch whose longest sequence has so many tokens; null: none. llama.cpp goes by the size of its context.
    ggml_tensor * rope_factors(int64_t longest) const { return longest > original_context ? factors_beyond : factors; }

  private:
    ggml_tensor * optional(const std::string & name);
    ggml_tensor * needed(const std::string & name);
    layer_weights find_layer(int64_t i, const base_shape & shape);
    void          find_experts(layer_weights & layer, const std::string & block, const base_shape & shape);
    ffn_weights   find_ffn(const std::string & block, const std::string & suffix);  // "_shexp.weight"
    void          find_queries_keys_values(attention_weights & of, const std::string & block, const base_shape & shape);
    void          find_rope_factors(const base_shape & shape);
    void          find_latent(latent_weights & of, const std::string & block);
    void          read(const gguf_model & file) const;  // into `made`

    train_tensors                                  memory;
    std::unordered_map<std::string, ggml_tensor *> made;
    std::unordered_map<std::string, bool>          taken;
    ggml_tensor *                                  tokens = nullptr, *last_norm = nullptr, *output = nullptr, *factors = nullptr, *factors_beyond = nullptr;
    int64_t                                        original_context = 0;
    std::vector<layer_weights>                     layers;
};

}  // namespace moebius
