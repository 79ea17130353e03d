"""A GGUF file as PyTorch sees a model: weights by their names, dequantised, and what the metadata says of the architecture."""
from dataclasses import dataclass

import gguf
import numpy
import torch
from torch import Tensor


class File:
    """Tensors in torch's order of dimensions (the last one lies side by side), metadata by key."""

    def __init__(self, path: str):
        self.reader = gguf.GGUFReader(path)

    def get(self, key: str, default=None):
        field = self.reader.get_field(key)
        return default if field is None else field.contents()

    def tensors(self, dtype: torch.dtype) -> dict[str, Tensor]:
        made = {}
        for tensor in self.reader.tensors:
            numbers = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            made[tensor.name] = torch.from_numpy(numpy.array(numbers, dtype=numpy.float32)).to(dtype)
        return made


@dataclass(frozen=True)
class Rules:
    """What distinguishes an architecture, from the models' papers and llama.cpp's graphs of these names."""

    halves: bool  # RoPE turns number i with i + d/2, not 2i with 2i + 1
    query_norm: str  # of queries and keys: "none", each "head", "all" heads at once
    normalised: bool  # a token's experts' weights add up to 1
    scaled: bool = False  # factors of embedding, residuals, logits and attention


RULES = {
    "qwen3moe": Rules(halves=True, query_norm="head", normalised=True),
    "qwen2moe": Rules(halves=True, query_norm="none", normalised=False),
    "olmoe": Rules(halves=True, query_norm="all", normalised=False),
    "qwen3": Rules(halves=True, query_norm="head", normalised=True),
    "llama": Rules(halves=False, query_norm="none", normalised=True),
    "granitemoe": Rules(halves=False, query_norm="none", normalised=True, scaled=True),
}


@dataclass(frozen=True)
class Shape:
    rules: Rules
    layers: int
    heads: int
    kv_heads: int
    head: int
    rope_dimensions: int
    rope_base: float
    epsilon: float
    experts: int  # 0: a dense FFN
    experts_used: int
    attention_scale: float
    embedding_scale: float = 1
    residual_scale: float = 1
    logit_scale: float = 1


def read_shape(file: File) -> Shape:
    architecture = file.get("general.architecture")
    if architecture not in RULES:
        raise SystemExit(f"{architecture} is not among {', '.join(RULES)}")
    rules = RULES[architecture]
    of = lambda key, default=None: file.get(f"{architecture}.{key}", default)
    heads = of("attention.head_count")
    head = of("attention.key_length", of("embedding_length") // heads)
    scales = {}
    if rules.scaled:
        scales = {key: float(of(key, 1)) for key in ("embedding_scale", "residual_scale")} | {"logit_scale": 1 / float(of("logit_scale", 1))}
    return Shape(
        rules=rules,
        layers=of("block_count"),
        heads=heads,
        kv_heads=of("attention.head_count_kv", heads),
        head=head,
        rope_dimensions=of("rope.dimension_count", head),
        rope_base=float(of("rope.freq_base", 10000.0)),
        epsilon=float(of("attention.layer_norm_rms_epsilon")),
        experts=of("expert_count", 0),
        experts_used=of("expert_used_count", 0),
        attention_scale=(float(of("attention.scale", 0)) if rules.scaled else 0) or head**-0.5,
        **scales,
    )
