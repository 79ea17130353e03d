#include "base-weights.h"

#include "expert-tensors.h"
#include "rpc/errors.h"
#include "tensor-reader.h"

#include <algorithm>

namespace moebius {

base_weights::base_weights(const gguf_model & file, const base_shape & shape, ggml_backend_dev_t device) : memory(device, file.tensors.size()) {
    for (const gguf_tensor & tensor : file.tensors) {
        if (is_expert_tensor(tensor.name)) {
            continue;
        }
        ggml_tensor * const here = memory.make(tensor.type, tensor.ne[0], tensor.ne[1], tensor.ne[2]);
        ggml_set_name(here, tensor.name.c_str());
        made[tensor.name] = here;
    }
    tokens    = needed("token_embd.weight");
    last_norm = needed("output_norm.weight");
    output    = optional("output.weight");
    output    = output ? output : tokens;
    factors   = optional("rope_freqs.weight");
    for (int64_t i = 0; i < shape.layers; i++) {
        layers.push_back(find_layer(i, shape));
    }
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

layer_weights base_weights::find_layer(int64_t i, const base_shape & shape) {
    const auto    name = [i](const char * part) { return "blk." + std::to_string(i) + "." + part; };
    layer_weights layer;
    layer.attention.norm        = needed(name("attn_norm.weight"));
    layer.attention.q           = needed(name("attn_q.weight"));
    layer.attention.k           = needed(name("attn_k.weight"));
    layer.attention.v           = needed(name("attn_v.weight"));
    layer.attention.output      = needed(name("attn_output.weight"));
    layer.attention.q_bias      = optional(name("attn_q.bias"));
    layer.attention.k_bias      = optional(name("attn_k.bias"));
    layer.attention.v_bias      = optional(name("attn_v.bias"));
    layer.attention.output_bias = optional(name("attn_output.bias"));
    layer.attention.q_norm      = optional(name("attn_q_norm.weight"));
    layer.attention.k_norm      = optional(name("attn_k_norm.weight"));
    layer.norm                  = needed(name("ffn_norm.weight"));
    const std::string block = name("");
    if (shape.experts == 0) {
        layer.dense = find_ffn(block, ".weight");
    } else {
        find_experts(layer, block, shape);
    }
    return layer;
}

void base_weights::find_experts(layer_weights & layer, const std::string & block, const base_shape & shape) {
    layer.router = needed(block + "ffn_gate_inp.weight");
    if (shape.has_shared_expert && optional(block + "ffn_gate_shexp.weight")) {
        layer.shared.weight = optional(block + "ffn_gate_inp_shexp.weight");
        layer.shared.ffn    = find_ffn(block, "_shexp.weight");
    }
}

ffn_weights base_weights::find_ffn(const std::string & block, const std::string & suffix) {
    return { needed(block + "ffn_gate" + suffix), needed(block + "ffn_up" + suffix), needed(block + "ffn_down" + suffix) };
}

void base_weights::read(const gguf_model & file) const {
    constexpr uint64_t   piece = 16 << 20;
    std::vector<uint8_t> bytes(piece);
    tensor_reader        reader(file);
    for (const gguf_tensor & tensor : file.tensors) {
        for (uint64_t at = 0; at < tensor.bytes && made.count(tensor.name); at += piece) {
            const uint64_t size = std::min(piece, tensor.bytes - at);
            reader.read(tensor, at, size, bytes.data());
            ggml_backend_tensor_set(made.at(tensor.name), bytes.data(), at, size);
        }
    }
}

}  // namespace moebius
