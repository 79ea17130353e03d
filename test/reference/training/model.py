"""A transformer, with experts or without, and adapters of it, from the definitions of its architectures; any precision, one graph for all packed sequences."""
from dataclasses import dataclass

import torch
from gguf_model import Shape
from torch import Tensor
from torch.nn import functional as F


@dataclass
class Batch:
    """Sequences behind one another. Row rows[i] predicts labels[i], whose loss counts weights[i]."""

    tokens: Tensor  # [tokens]
    lengths: list[int]
    rows: Tensor
    labels: Tensor
    weights: Tensor

    def positions(self) -> Tensor:
        return torch.cat([torch.arange(length) for length in self.lengths])

    def mask(self) -> Tensor:
        """[tokens, tokens], true: seen."""
        sequence = torch.repeat_interleave(torch.arange(len(self.lengths)), torch.tensor(self.lengths))
        return (sequence[:, None] == sequence[None, :]).tril()


@dataclass
class Lora:
    """W + scale * b a. a: [r, n_in] or [experts, r, n_in]; b: [n_out, r] or [experts, n_out, r]."""

    a: Tensor
    b: Tensor
    scale: float


@dataclass
class Losses:
    tokens: Tensor  # [rows]
    balance: Tensor  # Switch (arXiv 2101.03961) over all chosen experts, mean over layers
    z: Tensor  # ST-MoE (arXiv 2202.08906), mean over tokens and layers
    expert_tokens: list[list[int]]  # [layers with experts][experts]


def rms_norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + epsilon) * weight


def turned(x: Tensor, angles: Tensor, halves: bool) -> Tensor:
    """RoPE (arXiv 2104.09864). x: [tokens, heads, d]; angles: [tokens, dimensions / 2]."""
    count = 2 * angles.shape[-1]
    part, rest = x[..., :count], x[..., count:]
    left, right = (part[..., : count // 2], part[..., count // 2 :]) if halves else (part[..., 0::2], part[..., 1::2])
    cosine, sine = angles.cos()[:, None], angles.sin()[:, None]
    new = (left * cosine - right * sine, left * sine + right * cosine)
    part = torch.cat(new, -1) if halves else torch.stack(new, -1).flatten(-2)
    return torch.cat([part, rest], -1)


class Model:
    def __init__(self, shape: Shape, weights: dict[str, Tensor], loras: dict[str, Lora]):
        """`weights`: frozen ones and those that are trained as a whole."""
        self.shape, self.weights, self.loras = shape, weights, loras
        self.each: dict[str, list[Lora]] = {}  # [experts], of a pass

    def linear(self, name: str, x: Tensor) -> Tensor:
        y = x @ self.weights[f"{name}.weight"].T
        lora = self.loras.get(f"{name}.weight")
        if lora:
            y = y + lora.scale * (x @ lora.a.T) @ lora.b.T
        bias = self.weights.get(f"{name}.bias")
        return y if bias is None else y + bias

    def of_expert(self, name: str, expert: int, x: Tensor) -> Tensor:
        y = x @ self.weights[f"{name}.weight"][expert].T
        lora = self.each.get(f"{name}.weight")
        return y + lora[expert].scale * (x @ lora[expert].a.T) @ lora[expert].b.T if lora else y

    def norm(self, name: str, x: Tensor) -> Tensor:
        return rms_norm(x, self.weights[f"{name}.weight"], self.shape.epsilon)

    def heads(self, block: str, part: str, x: Tensor, count: int) -> Tensor:
        y = self.linear(f"{block}.attn_{part}", x)
        kind = "none" if part == "v" else self.shape.rules.query_norm
        if kind == "all":
            y = self.norm(f"{block}.attn_{part}_norm", y)
        y = y.view(len(x), count, -1)
        return self.norm(f"{block}.attn_{part}_norm", y) if kind == "head" else y

    def attention(self, block: str, x: Tensor, angles: Tensor, mask: Tensor) -> Tensor:
        shape, halves = self.shape, self.shape.rules.halves
        q = turned(self.heads(block, "q", x, shape.heads), angles, halves).transpose(0, 1)
        k = turned(self.heads(block, "k", x, shape.kv_heads), angles, halves).transpose(0, 1)
        v = self.heads(block, "v", x, shape.kv_heads).transpose(0, 1)
        k, v = (each.repeat_interleave(shape.heads // shape.kv_heads, 0) for each in (k, v))
        y = F.scaled_dot_product_attention(q[None], k[None], v[None], mask, scale=shape.attention_scale)[0]
        return self.linear(f"{block}.attn_output", y.transpose(0, 1).flatten(1))

    def expert(self, block: str, expert: int, x: Tensor) -> Tensor:
        if f"{block}.ffn_gate_up_exps.weight" in self.weights:
            gate, up = self.of_expert(f"{block}.ffn_gate_up_exps", expert, x).chunk(2, -1)
        else:
            gate, up = (self.of_expert(f"{block}.ffn_{part}_exps", expert, x) for part in ("gate", "up"))
        return self.of_expert(f"{block}.ffn_down_exps", expert, F.silu(gate) * up)

    def dense(self, block: str, x: Tensor, kind: str = "") -> Tensor:
        return self.linear(f"{block}.ffn_down{kind}", F.silu(self.linear(f"{block}.ffn_gate{kind}", x)) * self.linear(f"{block}.ffn_up{kind}", x))

    def shared(self, block: str, x: Tensor) -> Tensor:
        y = self.dense(block, x, "_shexp")
        weight = self.weights.get(f"{block}.ffn_gate_inp_shexp.weight")
        return y if weight is None else y * torch.sigmoid(x @ weight.reshape(1, -1).T)

    def experts(self, block: str, x: Tensor, losses: Losses) -> Tensor:
        shape = self.shape
        logits = self.linear(f"{block}.ffn_gate_inp", x)
        probabilities = logits.softmax(-1)
        weights, chosen = probabilities.topk(shape.experts_used, -1)
        if shape.rules.normalised:
            weights = weights / weights.sum(-1, keepdim=True)
        counts = torch.bincount(chosen.flatten(), minlength=shape.experts)
        losses.expert_tokens.append(counts.tolist())
        losses.balance = losses.balance + shape.experts * (counts / len(x) * probabilities.mean(0)).sum() / shape.layers
        losses.z = losses.z + logits.logsumexp(-1).pow(2).mean() / shape.layers
        y = torch.zeros_like(x)
        for expert in range(shape.experts):
            token, choice = (chosen == expert).nonzero(as_tuple=True)
            if len(token):
                y = y.index_add(0, token, weights[token, choice, None] * self.expert(block, expert, x[token]))
        return y + self.shared(block, x) if f"{block}.ffn_gate_shexp.weight" in self.weights else y

    def logits(self, batch: Batch, losses: Losses) -> Tensor:
        """Of batch.rows."""
        shape, embedding = self.shape, self.weights["token_embd.weight"]
        x = embedding[batch.tokens] * shape.embedding_scale
        frequencies = shape.rope_base ** (-torch.arange(0, shape.rope_dimensions, 2, dtype=x.dtype) / shape.rope_dimensions)
        if "rope_freqs.weight" in self.weights:
            frequencies = frequencies / self.weights["rope_freqs.weight"]
        angles, mask = batch.positions()[:, None] * frequencies, batch.mask()
        for layer in range(shape.layers):
            block = f"blk.{layer}"
            x = x + shape.residual_scale * self.attention(block, self.norm(f"{block}.attn_norm", x), angles, mask)
            normed = self.norm(f"{block}.ffn_norm", x)
            x = x + shape.residual_scale * (self.experts(block, normed, losses) if f"{block}.ffn_gate_inp.weight" in self.weights else self.dense(block, normed))
        x = self.norm("output_norm", x[batch.rows])
        return x @ self.weights.get("output.weight", embedding).T * shape.logit_scale

    def losses(self, batch: Batch) -> Losses:
        stacks = {name: lora for name, lora in self.loras.items() if lora.a.dim() == 3}
        self.each = {name: [Lora(a, b, of.scale) for a, b in zip(of.a.unbind(), of.b.unbind())] for name, of in stacks.items()}
        nothing = torch.zeros((), dtype=self.weights["token_embd.weight"].dtype)
        losses = Losses(nothing, nothing, nothing, [])
        losses.tokens = F.cross_entropy(self.logits(batch, losses), batch.labels, reduction="none")
        return losses
