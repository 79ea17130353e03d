"""LoRA fine-tuning of a qwen3moe with Transformers and PEFT, as their users write it: what `npm run bench -- train` holds the trainer against, beside speed_loop.py, and with the same arguments and output.

F32. Adapters of attention (`target_modules`) and of all experts (`target_parameters`); grouped products of experts, scaled_dot_product_attention, the fused AdamW. --checkpointing is `gradient_checkpointing_enable`.
"""
import gc

import torch
from gguf_model import File, read_shape
from hugging_face import transformers_model
from peft import LoraConfig, get_peft_model
from speed_loop import read_examples, read_options, run


def turn_all(model, shape):
    """Qwen3Moe turns all of a head. A head of which only the first `rope_dimensions` are turned, and whose other numbers are all zero, is the same with its numbers spread out: pair i at pair i * head / rope_dimensions."""
    apart, half = shape.head // shape.rope_dimensions, shape.rope_dimensions // 2
    places = torch.cat([torch.arange(half) * apart, torch.arange(half) * apart + shape.head // 2])
    for layer in model.model.layers:
        at = layer.self_attn
        for weight, heads in ((at.q_proj.weight, shape.heads), (at.k_proj.weight, shape.kv_heads), (at.q_norm.weight, 1), (at.k_norm.weight, 1)):
            rows = weight.data.view(heads, shape.head, -1)
            spread = torch.zeros_like(rows)
            spread[:, places] = rows[:, : shape.rope_dimensions]
            assert rows[:, shape.rope_dimensions :].count_nonzero() == 0 or weight.dim() == 1
            weight.data.copy_(spread.view(weight.shape))


def tuned_model(path, rank, checkpointing):
    file = File(path)
    model = transformers_model(file, torch.float32)
    turn_all(model, read_shape(file))
    model.set_experts_implementation('grouped_mm')
    model.config.use_cache = False
    targets = {'target_modules': ['q_proj', 'k_proj', 'v_proj', 'o_proj'], 'target_parameters': ['mlp.experts.gate_up_proj', 'mlp.experts.down_proj']}
    tuned = get_peft_model(model, LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, **targets))
    if checkpointing:
        tuned.gradient_checkpointing_enable(gradient_checkpointing_kwargs={'use_reentrant': False})
        tuned.enable_input_require_grads()
    return tuned.train()


def main():
    options = read_options()
    model, tokens = tuned_model(options.model, options.rank, options.checkpointing), read_examples(options.data)
    gc.collect()
    run(options.steps, [p for p in model.parameters() if p.requires_grad], tokens, lambda: model(input_ids=tokens, labels=tokens).loss)


main()
