#include "peft-names.h"

#include "model/tensor-class.h"
#include "model/utf8.h"
#include "rpc/errors.h"

#include <map>
#include <set>

namespace moebius {

namespace {

// module behind "model.layers.N.", parameter (empty: a Linear), part
struct module_place {
    const char * module;
    const char * parameter = "";
    peft_part    part      = peft_part::whole;
};

using place_table = std::map<std::string, module_place>;  // by tensor_base

const place_table attention_places = {
    { "attn_q", { "self_attn.q_proj" } },
    { "attn_k", { "self_attn.k_proj" } },
    { "attn_v", { "self_attn.v_proj" } },
    { "attn_output", { "self_attn.o_proj" } },
};

const place_table latent_attention_places = {
    { "attn_q", { "self_attn.q_proj" } },
    { "attn_q_a", { "self_attn.q_a_proj" } },
    { "attn_q_b", { "self_attn.q_b_proj" } },
    { "attn_kv_a_mqa", { "self_attn.kv_a_proj_with_mqa" } },
    { "attn_kv_b", { "self_attn.kv_b_proj" } },
    { "attn_output", { "self_attn.o_proj" } },
};

const place_table dense_ffn_places = {
    { "ffn_gate", { "mlp.gate_proj" } },
    { "ffn_up", { "mlp.up_proj" } },
    { "ffn_down", { "mlp.down_proj" } },
};

// The router is a Linear in some models and a module with a bare parameter in others: as a parameter it is found in both.
const place_table fused_expert_places = {
    { "ffn_gate_inp", { "mlp.gate", "weight" } },
    { "ffn_gate_exps", { "mlp.experts", "gate_up_proj", peft_part::gate } },
    { "ffn_up_exps", { "mlp.experts", "gate_up_proj", peft_part::up } },
    { "ffn_gate_up_exps", { "mlp.experts", "gate_up_proj" } },
    { "ffn_down_exps", { "mlp.experts", "down_proj" } },
};

const place_table granite_expert_places = {
    { "ffn_gate_inp", { "block_sparse_moe.router", "weight" } },
    { "ffn_gate_exps", { "block_sparse_moe.experts", "gate_up_proj", peft_part::gate } },
    { "ffn_up_exps", { "block_sparse_moe.experts", "gate_up_proj", peft_part::up } },
    { "ffn_down_exps", { "block_sparse_moe.experts", "down_proj" } },
};

std::vector<const place_table *> places_of(const gguf_model & base) {
    const std::string architecture = base.architecture();
    if (architecture == "llama") {
        return { &attention_places, base.hparam("expert_count", 0) > 0 ? &fused_expert_places : &dense_ffn_places };
    }
    if (architecture == "qwen3") {
        return { &attention_places, &dense_ffn_places };
    }
    if (architecture == "qwen3moe" || architecture == "qwen2moe" || architecture == "olmoe") {
        return { &attention_places, &fused_expert_places };
    }
    if (architecture == "granitemoe") {
        return { &attention_places, &granite_expert_places };
    }
    if (architecture == "deepseek2") {
        return { &latent_attention_places, &fused_expert_places };
    }
    throw user_error("model.unsupported", "How Transformers names the tensors of '" + utf8_quote(architecture) + "' is not known here. Export an adapter file or a merged GGUF instead.",
                     { { "architecture", utf8_quote(architecture) } });
}

std::string reason_against(const gguf_model & base, const std::string & tensor) {
    const std::string  name = tensor_base(tensor);
    const tensor_class kind = classify_tensor(tensor);
    if (name == "attn_k_b" || name == "attn_v_b") {
        return "is a part of kv_b_proj there, transposed by head, of which a pair of low rank is none of the whole";
    }
    if (kind == tensor_class::shared_experts || kind == tensor_class::dense_ffn) {
        return base.architecture() == "granitemoe" ? "is one matrix with another one there" :
                                                     "would be taken for that of the routed experts, whose projections PEFT looks for by the same name";
    }
    return "has no place there";
}

// convert_hf_to_gguf.py permutes q and k for these, as llama.cpp rotates neighbouring rows and Transformers the halves of a head.
int64_t permuted_heads_of(const gguf_model & base, const std::string & tensor) {
    const std::string name = tensor_base(tensor), architecture = base.architecture();
    if ((architecture != "llama" && architecture != "granitemoe") || (name != "attn_q" && name != "attn_k")) {
        return 0;
    }
    const int64_t layer = tensor_layer(tensor), heads = base.hparam_of_layer("attention.head_count", layer, 0);
    return name == "attn_q" ? heads : base.hparam_of_layer("attention.head_count_kv", layer, heads);
}

}  // namespace

peft_target peft_target_of(const gguf_model & base, const std::string & tensor) {
    const auto tables = places_of(base);
    if (tensor == "output.weight") {
        return { peft_kind::module, "lm_head", "", peft_part::whole, 0 };
    }
    for (const place_table * table : tables) {
        const auto found = table->find(tensor_base(tensor));
        if (found != table->end() && tensor_layer(tensor) >= 0 && tensor_suffix(tensor) == "weight") {
            const module_place &     at     = found->second;
            const std::string module = "model.layers." + std::to_string(tensor_layer(tensor)) + "." + at.module;
            return { *at.parameter == '\0' ? peft_kind::module : peft_kind::parameter, module, at.parameter, at.part, permuted_heads_of(base, tensor) };
        }
    }
    throw user_error("model.unsupported", "The adapter has a pair for " + utf8_quote(tensor) + ", which PEFT cannot have: it " + reason_against(base, tensor) +
                                              ". Export an adapter file or a merged GGUF instead.", { { "tensor", utf8_quote(tensor) } });
}

}  // namespace moebius
