"""A GGUF file as a model of Hugging Face Transformers, with a configuration made by hand."""
import torch
import transformers
from gguf_model import File, Shape, read_shape
from torch import Tensor

CLASSES = {
    "qwen3moe": (transformers.Qwen3MoeConfig, transformers.Qwen3MoeForCausalLM),
    "qwen2moe": (transformers.Qwen2MoeConfig, transformers.Qwen2MoeForCausalLM),
    "olmoe": (transformers.OlmoeConfig, transformers.OlmoeForCausalLM),
    "llama": (transformers.MixtralConfig, transformers.MixtralForCausalLM),
    "granitemoe": (transformers.GraniteMoeSharedConfig, transformers.GraniteMoeSharedForCausalLM),
}


def config_of(architecture: str, shape: Shape, weights: dict[str, Tensor]):
    experts = "num_local_experts" if architecture in ("llama", "granitemoe") else "num_experts"
    width = weights["blk.0.ffn_down_exps.weight"].shape[-1]
    vocabulary, hidden = weights["token_embd.weight"].shape
    settings = {
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head,
        "intermediate_size": width,
        experts: shape.experts,
        "num_experts_per_tok": shape.experts_used,
        "rms_norm_eps": shape.epsilon,
        "rope_parameters": {"rope_type": "default", "rope_theta": shape.rope_base},
        "tie_word_embeddings": "output.weight" not in weights,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
    }
    if architecture.startswith("qwen"):
        settings |= {"moe_intermediate_size": width, "shared_expert_intermediate_size": width}
    if architecture in ("qwen3moe", "qwen2moe", "olmoe"):
        settings["norm_topk_prob"] = shape.rules.normalised
    if architecture == "granitemoe":
        settings |= {"embedding_multiplier": shape.embedding_scale, "residual_multiplier": shape.residual_scale}
        settings |= {"logits_scaling": 1 / shape.logit_scale, "attention_multiplier": shape.attention_scale, "shared_intermediate_size": width}
    return CLASSES[architecture][0](**settings)


def pairs_to_halves(weight: Tensor, heads: int) -> Tensor:
    """GGUF files of models that turn pairs have their rows in that order; Transformers turns halves."""
    return weight.view(heads, -1, 2, weight.shape[-1]).transpose(1, 2).reshape(weight.shape)


def layer_weights(architecture: str, shape: Shape, weights: dict[str, Tensor], layer: int) -> dict[str, Tensor]:
    block, prefix = f"blk.{layer}.", f"model.layers.{layer}."
    at = lambda name: weights[block + name]
    moe = "block_sparse_moe." if architecture == "granitemoe" else "mlp."
    names = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_output": "self_attn.o_proj"}
    names |= {f"attn_{part}": f"self_attn.{part}_proj" for part in "qkv"} | {f"attn_{part}_norm": f"self_attn.{part}_norm" for part in "qk"}
    names |= {"ffn_gate_inp": moe + ("router" if architecture == "granitemoe" else "gate"), "ffn_gate_inp_shexp": "mlp.shared_expert_gate"}
    if architecture == "granitemoe":
        names["ffn_down_shexp"] = "shared_mlp.output_linear"
    else:
        names |= {f"ffn_{part}_shexp": f"mlp.shared_expert.{part}_proj" for part in ("gate", "up", "down")}
    made = {}
    for ours, theirs in names.items():
        for kind in (".weight", ".bias"):
            if block + ours + kind in weights:
                made[prefix + theirs + kind] = at(ours + kind)
    if not shape.rules.halves:
        for part, heads in (("q", shape.heads), ("k", shape.kv_heads)):
            name = f"{prefix}self_attn.{part}_proj.weight"
            made[name] = pairs_to_halves(made[name], heads)
    fused = block + "ffn_gate_up_exps.weight"
    made[f"{prefix}{moe}experts.gate_up_proj"] = weights[fused] if fused in weights else torch.cat([at("ffn_gate_exps.weight"), at("ffn_up_exps.weight")], 1)
    made[f"{prefix}{moe}experts.down_proj"] = at("ffn_down_exps.weight")
    if architecture == "granitemoe":
        made[f"{prefix}shared_mlp.input_linear.weight"] = torch.cat([at("ffn_gate_shexp.weight"), at("ffn_up_shexp.weight")])
    gate = f"{prefix}mlp.shared_expert_gate.weight"
    return made | ({gate: made[gate].view(1, -1)} if gate in made else {})


def transformers_model(file: File, dtype: torch.dtype) -> transformers.PreTrainedModel:
    architecture, shape, weights = file.get("general.architecture"), read_shape(file), file.tensors(dtype)
    model = CLASSES[architecture][1](config_of(architecture, shape, weights)).to(dtype).eval()
    embedding = weights["token_embd.weight"]
    state = {"model.embed_tokens.weight": embedding, "lm_head.weight": weights.get("output.weight", embedding), "model.norm.weight": weights["output_norm.weight"]}
    for layer in range(shape.layers):
        state |= layer_weights(architecture, shape, weights, layer)
    model.load_state_dict(state)
    model.set_experts_implementation("eager")  # the others know no double precision
    return model
