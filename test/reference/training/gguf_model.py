"""A GGUF file as PyTorch sees a model: weights by their names, dequantised, and what the metadata says of the architecture."""
import math
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
    "deepseek2": Rules(halves=False, query_norm="none", normalised=False),
}


@dataclass(frozen=True)
class Latent:
    """Keys and values from a few numbers of each token (DeepSeek-V2, arXiv 2405.04434)."""

    numbers: int
    turned: int  # the last ones of a head, of keys the same for all heads


@dataclass(frozen=True)
class Yarn:
    """arXiv 2309.00071."""

    factor: float
    original: int  # tokens


@dataclass(frozen=True)
class Routing:
    """What deepseek2 files say of their routers."""

    sigmoids: bool = False
    normalised: bool = False
    scale: float = 1
    groups: int = 1
    groups_used: int = 1


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
    routing: Routing
    rope_growth: float = 1  # of what is turned
    dense_layers: int = 0
    latent: Latent | None = None
    yarn: Yarn | None = None
    embedding_scale: float = 1
    residual_scale: float = 1
    logit_scale: float = 1


def growth(factor: float, multiplier: float = 1) -> float:
    return 0.1 * multiplier * math.log(factor) + 1


def read_latent(of, shape: dict) -> dict:
    """What changes of a shape in files of deepseek2."""
    head = of("attention.key_length_mla", of("attention.key_length"))
    scale, yarn = head**-0.5, shape["yarn"]
    if yarn:
        multiplier = float(of("rope.scaling.yarn_log_multiplier")) / 0.1  # mscale_all_dim, which mscale equals in DeepSeek's files
        scale *= growth(yarn.factor, multiplier) ** 2
    return {
        "head": head,
        "attention_scale": scale,
        "rope_growth": 1,
        "latent": Latent(of("attention.kv_lora_rank"), of("rope.dimension_count")),
        "dense_layers": of("leading_dense_block_count", 0),
        "routing": Routing(
            of("expert_gating_func", 1) == 2, bool(of("expert_weights_norm", False)), float(of("expert_weights_scale", 1)), of("expert_group_count", 1), of("expert_group_used_count", 1)
        ),
    }


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
    yarn = None
    if of("rope.scaling.type") == "yarn":
        yarn = Yarn(float(of("rope.scaling.factor")), of("rope.scaling.original_context_length"))
    shape = dict(
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
        routing=Routing(normalised=rules.normalised),
        yarn=yarn,
        rope_growth=growth(yarn.factor) if yarn else float(of("rope.scaling.attn_factor", 1)),
        **scales,
    )
    return Shape(**(shape | read_latent(of, shape) if architecture == "deepseek2" else shape))
