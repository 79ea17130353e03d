// Tensor types and expert shapes.
#include "gguf-check.h"
#include "gguf-part.h"
#include "tensor-class.h"
#include "utf8.h"

#include <set>

namespace moebius {

[[noreturn]] static void fail_tensor(const gguf_model & model, const gguf_tensor & tensor, const std::string & message) {
    gguf_fail("file.corrupt", model.files[tensor.file], "tensor '" + utf8_quote(tensor.name) + "' " + message,
              { { "tensor", utf8_quote(tensor.name) }, { "offset", tensor.offset } });
}

static bool ends_with(const std::string & text, const std::string & end) {
    return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// types that ggml can multiply by and take rows of; the others (integers, F64, Q8_1, Q8_K) crash its kernels
static bool is_weight_type(ggml_type type) {
    switch (type) {
        case GGML_TYPE_F32:
        case GGML_TYPE_F16:
        case GGML_TYPE_BF16:
            return true;
        case GGML_TYPE_Q8_1:
        case GGML_TYPE_Q8_K:
            return false;
        default:
            return ggml_is_quantized(type);
    }
}

// lookup tables, not weights
static bool is_index_table(const std::string & base) {
    return base == "ffn_gate_tid2eid" || base == "d2t" || base == "masked_embd_ordering";
}

// used element by element, which the CPU backend does for F32 only (it aborts otherwise)
static bool is_elementwise(const std::string & base, const std::string & suffix) {
    static const std::set<std::string> names = {
        "ssm_a", "ssm_d", "ssm_conv1d", "ssm_conv1d_q", "ssm_conv1d_k", "ssm_conv1d_v", "ple_conv1d", "shortconv.conv", "attn_sinks",
        "rope_freqs", "rope_factors_long", "rope_factors_short", "exp_probs_b", "exp_probs_b_vl", "layer_output_scale", "ffn.act",
    };
    return suffix == "bias" || suffix == "scale" || suffix == "input_scale" || names.count(base) > 0 ||
           base.find("norm") != std::string::npos;
}

static void check_type(const gguf_model & model, const gguf_tensor & tensor) {
    const std::string base   = tensor_base(tensor.name);
    const std::string suffix = tensor_suffix(tensor.name);
    if (is_index_table(base)) {
        return;
    }
    if (!is_weight_type(tensor.type)) {
        fail_tensor(model, tensor, std::string("has type ") + ggml_type_name(tensor.type) + ", which cannot hold weights");
    }
    if (tensor.type != GGML_TYPE_F32 && is_elementwise(base, suffix)) {
        fail_tensor(model, tensor, std::string("has type ") + ggml_type_name(tensor.type) + "; norms, biases and scales have to be f32");
    }
}

void gguf_check_tensors(const gguf_model & model) {
    const int64_t layers  = model.hparam("block_count", 0);
    const int64_t experts = model.hparam("expert_count", 0);
    for (const gguf_tensor & tensor : model.tensors) {
        check_type(model, tensor);
        if (tensor_layer(tensor.name) >= layers) {
            fail_tensor(model, tensor, "belongs to a layer that does not exist; block_count is " + std::to_string(layers));
        }
        const bool routed = ends_with(tensor.name, "_exps.weight") && !ends_with(tensor.name, "norm_exps.weight");
        if (routed && tensor.ne[2] != experts) {
            fail_tensor(model, tensor, "holds " + std::to_string(tensor.ne[2]) + " experts where expert_count is " + std::to_string(experts));
        }
    }
}

}  // namespace moebius
