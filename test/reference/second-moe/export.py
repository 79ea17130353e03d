"""Writes the model of model.py as GGUF that llama.cpp loads: architecture olmoe, F32."""
import gguf
import torch
from gguf import GGUFReader, GGUFWriter

from model import Moe

COPIED = ["tokens", "token_type", "merges"]


def add_tokenizer(writer: GGUFWriter, vocabulary: str) -> None:
    reader = GGUFReader(vocabulary)
    value = lambda key: reader.get_field(key).contents()
    writer.add_tokenizer_model(value("tokenizer.ggml.model"))
    writer.add_tokenizer_pre(value("tokenizer.ggml.pre"))
    for key in COPIED:
        writer.add_array(f"tokenizer.ggml.{key}", value(f"tokenizer.ggml.{key}"))
    for key in ["bos", "eos", "eot", "padding"]:
        writer.add_uint32(f"tokenizer.ggml.{key}_token_id", int(value(f"tokenizer.ggml.{key}_token_id")))
    writer.add_add_bos_token(False)
    writer.add_chat_template(value("tokenizer.chat_template"))


def tensors_of(model: Moe) -> dict:
    """GGUF name -> tensor; numpy's shape order is the reverse of ggml's ne."""
    result = {"token_embd.weight": model.embedding.weight, "output_norm.weight": model.norm.weight, "output.weight": model.head.weight}
    for index, layer in enumerate(model.layers):
        attention, experts = layer.attention, layer.experts
        own = {
            "attn_norm": layer.attention_norm.weight,
            "attn_q": attention.q.weight,
            "attn_k": attention.k.weight,
            "attn_v": attention.v.weight,
            "attn_output": attention.output.weight,
            "attn_q_norm": attention.q_norm.weight,
            "attn_k_norm": attention.k_norm.weight,
            "ffn_norm": layer.experts_norm.weight,
            "ffn_gate_inp": experts.router.weight,
            "ffn_gate_exps": experts.gate,
            "ffn_up_exps": experts.up,
            "ffn_down_exps": experts.down,
        }
        result.update({f"blk.{index}.{name}.weight": tensor for name, tensor in own.items()})
    return result


def write_gguf(model: Moe, vocabulary: str, path: str) -> None:
    shape = model.shape
    writer = GGUFWriter(path, "olmoe")
    writer.add_name("Moebius second MoE")
    writer.add_block_count(shape.layers)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_feed_forward_length(shape.expert_width)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_expert_count(shape.experts)
    writer.add_expert_used_count(shape.experts_used)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    add_tokenizer(writer, vocabulary)
    for name, tensor in tensors_of(model).items():
        writer.add_tensor(name, tensor.detach().to(torch.float32).contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
