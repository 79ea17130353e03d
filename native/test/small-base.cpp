#include "small-base.h"

#include "same-numbers.h"

#include <gguf.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <random>

namespace moebius_test {

namespace {

class writer {
  public:
    explicit writer(const small_base & of) : of(of), source(gguf_init_from_file(MOEBIUS_TINY_MODEL, { true, nullptr })), made(gguf_init_empty()), tensors(ggml_init({ 64 << 20, nullptr, false })) {}
    ~writer() {
        gguf_free(source);
        gguf_free(made);
        ggml_free(tensors);
    }

    void metadata() {
        gguf_set_kv(made, source);
        for (int64_t i = gguf_get_n_kv(made) - 1; i >= 0; i--) {  // all but the tokenizer
            const std::string key = gguf_get_key(made, i);
            if (key.rfind("tokenizer.", 0) != 0) {
                gguf_remove_key(made, key.c_str());
            }
        }
        gguf_set_val_str(made, "general.architecture", of.architecture.c_str());
        gguf_set_val_str(made, "general.name", "small base");
        number("context_length", 512);
        number("embedding_length", of.n_embd);
        number("block_count", of.layers);
        number("feed_forward_length", of.n_ff);
        if (of.experts > 0) {
            number("expert_feed_forward_length", of.n_ff);
        }
        number("attention.head_count", of.heads);
        number("attention.head_count_kv", of.kv_heads);
        number("attention.key_length", of.head);
        number("attention.value_length", of.head);
        number("rope.dimension_count", of.head);
        if (of.experts > 0) {
            number("expert_count", of.experts);
            number("expert_used_count", of.used);
        }
        if (of.has_shared) {
            number("expert_shared_feed_forward_length", of.n_ff);
        }
        real("attention.layer_norm_rms_epsilon", 1e-5f);
        real("rope.freq_base", 10000);
        if (of.has_yarn) {
            gguf_set_val_str(made, (of.architecture + ".rope.scaling.type").c_str(), "yarn");
            real("rope.scaling.factor", 8);
            number("rope.scaling.original_context_length", 64);
        }
        if (of.has_long_rope) {
            gguf_set_val_str(made, (of.architecture + ".rope.scaling.type").c_str(), "longrope");
            real("rope.scaling.attn_factor", 1.1f);
            number("rope.scaling.original_context_length", 16);
        }
        if (of.latent.kv > 0) {
            latent_metadata();
        }
        if (of.architecture == "granitemoe") {
            real("embedding_scale", 1.5f);
            real("residual_scale", 0.7f);
            real("logit_scale", 2.5f);
            real("attention.scale", 0.2f);
        }
    }

    void all_tensors() {
        const int64_t vocabulary = gguf_get_arr_n(source, gguf_find_key(source, "tokenizer.ggml.tokens"));
        matrix("token_embd.weight", of.n_embd, vocabulary);
        if (!of.is_tied) {
            matrix("output.weight", of.n_embd, vocabulary);
        }
        if (of.has_factors) {
            factors();
        }
        norm("output_norm.weight", of.n_embd);
        if (of.has_long_rope) {
            factors("rope_factors_short.weight", 1.1f);
            factors("rope_factors_long.weight", 2);
        }
        for (int64_t i = 0; i < of.layers; i++) {
            block = "blk." + std::to_string(i) + ".";
            norm(block + "attn_norm.weight", of.n_embd);
            norm(block + "ffn_norm.weight", of.n_embd);
            if (of.latent.kv > 0) {
                latent_attention();
            } else {
                attention();
            }
            of.experts > 0 && i >= of.dense_layers ? experts() : dense();
        }
    }

    std::string write() {
        const std::string path = (std::filesystem::temp_directory_path() / ("moebius-base-" + std::to_string(std::random_device()()) + ".gguf")).string();
        gguf_write_to_file(made, path.c_str(), false);
        return path;
    }

  private:
    void number(const char * name, int64_t value) { gguf_set_val_u32(made, (of.architecture + "." + name).c_str(), uint32_t(value)); }
    void real(const char * name, float value) { gguf_set_val_f32(made, (of.architecture + "." + name).c_str(), value); }

    void dense() {
        matrix(block + "ffn_gate.weight", of.n_embd, of.n_ff);
        matrix(block + "ffn_up.weight", of.n_embd, of.n_ff);
        matrix(block + "ffn_down.weight", of.n_ff, of.n_embd);
    }

    // Slower turns for later numbers, as of Llama 3.1
    void factors() {
        ggml_tensor * made_factors = tensor("rope_freqs.weight", GGML_TYPE_F32, of.head / 2, 1, 1, 0);
        for (int64_t i = 0; i < of.head / 2; i++) {
            static_cast<float *>(made_factors->data)[i] = 1 + float(i) / 2;
        }
        gguf_set_tensor_data(made, "rope_freqs.weight", made_factors->data);
    }

    void latent_metadata() {
        const small_latent & latent = of.latent;
        number("attention.q_lora_rank", latent.q);
        number("attention.kv_lora_rank", latent.kv);
        number("attention.head_count_kv", latent.is_halved ? 1 : of.heads);
        number("attention.key_length", latent.is_halved ? latent.kv + latent.turned : latent.head);
        number("attention.value_length", latent.is_halved ? latent.kv : latent.head_v);
        if (latent.is_halved) {
            number("attention.key_length_mla", latent.head);
            number("attention.value_length_mla", latent.head_v);
        }
        number("rope.dimension_count", latent.turned);
        number("leading_dense_block_count", of.dense_layers);
        number("expert_shared_count", 1);
        number("expert_gating_func", of.has_sigmoids ? 2 : 1);
        if (of.has_sigmoids) {
            gguf_set_val_bool(made, (of.architecture + ".expert_weights_norm").c_str(), true);
            real("expert_weights_scale", 2.5f);
            number("expert_group_count", 3);
            number("expert_group_used_count", 2);
        }
        if (of.has_yarn) {
            real("rope.scaling.yarn_log_multiplier", latent.is_halved ? 0.1f : 0.0707f);  // as DeepSeek-V3 and V2 have
        }
    }

    void attention() {
        const int64_t q = of.heads * of.head, kv = of.kv_heads * of.head;
        matrix(block + "attn_q.weight", of.n_embd, q);
        matrix(block + "attn_k.weight", of.n_embd, kv);
        matrix(block + "attn_v.weight", of.n_embd, kv);
        matrix(block + "attn_output.weight", q, of.n_embd);
        if (of.architecture == "qwen3moe" || of.architecture == "qwen3" || of.architecture == "olmoe") {
            norm(block + "attn_q_norm.weight", of.architecture == "olmoe" ? q : of.head);
            norm(block + "attn_k_norm.weight", of.architecture == "olmoe" ? kv : of.head);
        }
        if (of.architecture == "qwen2moe") {
            norm(block + "attn_q.bias", q);
            norm(block + "attn_k.bias", kv);
            norm(block + "attn_v.bias", kv);
        }
    }

    void latent_attention() {
        const small_latent & latent = of.latent;
        if (latent.q > 0) {
            matrix(block + "attn_q_a.weight", of.n_embd, latent.q);
            norm(block + "attn_q_a_norm.weight", latent.q);
            matrix(block + "attn_q_b.weight", latent.q, of.heads * latent.head);
        } else {
            matrix(block + "attn_q.weight", of.n_embd, of.heads * latent.head);
        }
        const int64_t straight = latent.head - latent.turned;
        matrix(block + "attn_kv_a_mqa.weight", of.n_embd, latent.kv + latent.turned);
        norm(block + "attn_kv_a_norm.weight", latent.kv);
        if (latent.is_halved) {
            matrix(block + "attn_k_b.weight", straight, latent.kv, of.heads);
            matrix(block + "attn_v_b.weight", latent.kv, latent.head_v, of.heads);
        } else {
            matrix(block + "attn_kv_b.weight", latent.kv, of.heads * (straight + latent.head_v));
        }
        matrix(block + "attn_output.weight", of.heads * latent.head_v, of.n_embd);
    }

    // 1, most, most^2, ...
    void factors(const char * name, float most) {
        ggml_tensor * const each = tensor(name, GGML_TYPE_F32, of.head / 2, 1, 1, 0);
        for (int64_t i = 0; i < each->ne[0]; i++) {
            static_cast<float *>(each->data)[i] = std::pow(most, float(i));
        }
        gguf_set_tensor_data(made, name, each->data);
    }

    void experts() {
        tensor(block + "ffn_gate_inp.weight", GGML_TYPE_F32, of.n_embd, of.experts, 1, 3);
        if (of.has_sigmoids) {
            tensor(block + "exp_probs_b.bias", GGML_TYPE_F32, of.experts, 1, 1, 0.3f);
        }
        if (of.is_fused) {
            matrix(block + "ffn_gate_up_exps.weight", of.n_embd, 2 * of.n_ff, of.experts);
        } else {
            matrix(block + "ffn_gate_exps.weight", of.n_embd, of.n_ff, of.experts);
            matrix(block + "ffn_up_exps.weight", of.n_embd, of.n_ff, of.experts);
        }
        matrix(block + "ffn_down_exps.weight", of.n_ff, of.n_embd, of.experts);
        if (of.has_shared) {
            matrix(block + "ffn_gate_shexp.weight", of.n_embd, of.n_ff);
            matrix(block + "ffn_up_shexp.weight", of.n_embd, of.n_ff);
            matrix(block + "ffn_down_shexp.weight", of.n_ff, of.n_embd);
            if (of.architecture == "qwen2moe") {
                tensor(block + "ffn_gate_inp_shexp.weight", GGML_TYPE_F32, of.n_embd, 1, 1, 3);
            }
        }
    }

    void matrix(const std::string & name, int64_t n0, int64_t n1, int64_t n2 = 1) { tensor(name, of.type, n0, n1, n2, 1.5f); }
    void norm(const std::string & name, int64_t n0) {
        ggml_tensor * made_norm = tensor(name, GGML_TYPE_F32, n0, 1, 1, 0.2f * std::sqrt(float(n0)));
        for (int64_t i = 0; name.find("norm") != std::string::npos && i < n0; i++) {
            static_cast<float *>(made_norm->data)[i] += 1;
        }
        gguf_set_tensor_data(made, name.c_str(), made_norm->data);
    }

    // Of deviation `gain` / sqrt(n0).
    ggml_tensor * tensor(const std::string & name, ggml_type type, int64_t n0, int64_t n1, int64_t n2, float gain) {
        same_numbers       random(name);
        std::vector<float> values(size_t(n0 * n1 * n2));
        for (float & value : values) {
            value = gain / std::sqrt(float(n0)) * random.next();
        }
        std::vector<uint8_t> bytes(ggml_row_size(type, n0) * size_t(n1 * n2));
        ggml_quantize_chunk(type, values.data(), bytes.data(), 0, n1 * n2, n0, nullptr);
        if (of.is_dequantised && type != GGML_TYPE_F32) {
            ggml_get_type_traits(type)->to_float(bytes.data(), values.data(), int64_t(values.size()));
            type = GGML_TYPE_F32;
        }
        ggml_tensor * made_tensor = n2 > 1 ? ggml_new_tensor_3d(tensors, type, n0, n1, n2) : n1 > 1 ? ggml_new_tensor_2d(tensors, type, n0, n1) : ggml_new_tensor_1d(tensors, type, n0);
        ggml_set_name(made_tensor, name.c_str());
        std::memcpy(made_tensor->data, type == GGML_TYPE_F32 ? reinterpret_cast<const uint8_t *>(values.data()) : bytes.data(), ggml_nbytes(made_tensor));
        gguf_add_tensor(made, made_tensor);
        return made_tensor;
    }

    const small_base & of;
    gguf_context *     source;
    gguf_context *     made;
    ggml_context *     tensors;
    std::string        block;
};

}  // namespace

std::string write_small_base(const small_base & of) {
    writer file(of);
    file.metadata();
    file.all_tensors();
    return file.write();
}

}  // namespace moebius_test
