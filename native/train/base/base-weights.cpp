#include "base-weights.h"

#include "base-metadata.h"
#include "base-sizes.h"
#include "expert-tensors.h"
#include "model/tensor-class.h"
#include "rpc/errors.h"
#include "tensor-reader.h"

#include <algorithm>

namespace moebius {

base_weights::base_weights(const gguf_model & file, const base_shape & shape, ggml_backend_dev_t device) : memory(device, file.tensors.size()) {
    for (const gguf_tensor & tensor : file.tensors) {
        if (tensor.ne[3] != 1) {
            throw untrainable(file, "its tensor " + tensor.name + " has four dimensions");
        }
        if (is_expert_tensor(tensor.name) || tensor_layer(tensor.name) >= shape.layers) {
            continue;  // elsewhere; or it predicts tokens farther on
        }
        ggml_tensor * const here = memory.make(tensor.type, tensor.ne[0], tensor.ne[1], tensor.ne[2]);
        ggml_set_name(here, tensor.name.c_str());
        made[tensor.name] = here;
    }
    tokens    = needed("token_embd.weight");
    last_norm = needed("output_norm.weight");
    output    = optional("output.weight");
    output    = output ? output : tokens;
    if (shape.has_rope_factors) {
        find_rope_factors(shape);
    }
    for (int64_t i = 0; i < shape.layers; i++) {
        layers.push_back(find_layer(i, shape));
        check_layer_sizes(layers.back(), shape);
        check_expert_sizes(expert_tensors_of(file, i), shape);
    }
    check_outer_sizes(*this, shape);
    for (const auto & [name, tensor] : made) {
        if (!taken[name]) {
            throw user_error("model.unsupported", "This model cannot be trained: it has a tensor " + name + " that models of the architecture " + shape.architecture + " do not have in training.",
                             { { "tensor", name } });
        }
    }
    memory.allocate();
    read(file);
}

ggml_tensor * base_weights::optional(const std::string & name) {
    const auto found = made.find(name);
    taken[name]      = true;
    return found == made.end() ? nullptr : found->second;
}

ggml_tensor * base_weights::needed(const std::string & name) {
    ggml_tensor * const found = optional(name);
    if (!found) {
        throw user_error("model.unsupported", "This model cannot be trained: it has no tensor " + name + ".", { { "tensor", name } });
    }
    return found;
}

// As llama_model::get_rope_factors.
void base_weights::find_rope_factors(const base_shape & shape) {
    original_context = shape.rope.context_length;
    if (shape.is_long_rope) {
        factors        = optional("rope_factors_short.weight");
        factors_beyond = optional("rope_factors_long.weight");
    } else {
        factors = factors_beyond = optional("rope_freqs.weight");
    }
}

layer_weights base_weights::find_layer(int64_t i, const base_shape & shape) {
    const std::string block = "blk." + std::to_string(i) + ".";
    layer_weights     layer;
    layer.attention.norm   = needed(block + "attn_norm.weight");
    layer.attention.output = needed(block + "attn_output.weight");
    if (shape.latent > 0) {
        find_latent(layer.attention.latent, block);
    } else {
        find_queries_keys_values(layer.attention, block, shape);
    }
    layer.norm = needed(block + "ffn_norm.weight");
    if (shape.experts == 0 || i < shape.dense_layers) {
        layer.dense = find_ffn(block, ".weight");
    } else {
        find_experts(layer, block, shape);
    }
    return layer;
}

void base_weights::find_experts(layer_weights & layer, const std::string & block, const base_shape & shape) {
    layer.router      = needed(block + "ffn_gate_inp.weight");
    layer.choice_bias = shape.has_choice_bias ? optional(block + "exp_probs_b.bias") : nullptr;
    if (shape.has_shared_expert && optional(block + "ffn_gate_shexp.weight")) {
        layer.shared.weight = optional(block + "ffn_gate_inp_shexp.weight");
        layer.shared.ffn    = find_ffn(block, "_shexp.weight");
    }
}

ffn_weights base_weights::find_ffn(const std::string & block, const std::string & suffix) {
    return { needed(block + "ffn_gate" + suffix), needed(block + "ffn_up" + suffix), needed(block + "ffn_down" + suffix) };
}

void base_weights::find_queries_keys_values(attention_weights & of, const std::string & block, const base_shape & shape) {
    of.q           = needed(block + "attn_q.weight");
    of.k           = needed(block + "attn_k.weight");
    of.v           = needed(block + "attn_v.weight");
    of.q_bias      = optional(block + "attn_q.bias");
    of.k_bias      = optional(block + "attn_k.bias");
    of.v_bias      = optional(block + "attn_v.bias");
    of.output_bias = optional(block + "attn_output.bias");
    if (shape.norm_of_queries != query_norm::none) {
        of.q_norm = needed(block + "attn_q_norm.weight");
        of.k_norm = needed(block + "attn_k_norm.weight");
    }
}

void base_weights::find_latent(latent_weights & of, const std::string & block) {
    of.q_down  = optional(block + "attn_q_a.weight");
    of.q_norm  = of.q_down ? needed(block + "attn_q_a_norm.weight") : nullptr;
    of.q       = needed(block + (of.q_down ? "attn_q_b.weight" : "attn_q.weight"));
    of.kv_down = needed(block + "attn_kv_a_mqa.weight");
    of.kv_norm = needed(block + "attn_kv_a_norm.weight");
    of.kv      = optional(block + "attn_kv_b.weight");
    if (!of.kv) {
        of.k = needed(block + "attn_k_b.weight");
        of.v = needed(block + "attn_v_b.weight");
    }
}

void base_weights::read(const gguf_model & file) const {
    constexpr uint64_t   piece = 16 << 20;
    std::vector<uint8_t> bytes(piece);
    tensor_reader        reader(file);
    for (const gguf_tensor & tensor : file.tensors) {
        const auto here = made.find(tensor.name);
        for (uint64_t at = 0; here != made.end() && at < tensor.bytes; at += piece) {
            const uint64_t size = std::min(piece, tensor.bytes - at);
            reader.read(tensor, at, size, bytes.data());
            ggml_backend_tensor_set(here->second, bytes.data(), at, size);
        }
    }
}

}  // namespace moebius
