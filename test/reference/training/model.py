"""A transformer, with experts or without, and adapters of it, from the definitions of its architectures; any precision, one graph for all packed sequences."""
import math
from dataclasses import dataclass

import torch
from gguf_model import Routing, Shape
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
    balance: Tensor  # Switch (arXiv 2101.03961) over all chosen experts, of sigmoids over their sum (DeepSeek-V3, arXiv 2412.19437), mean over layers
    z: Tensor  # ST-MoE (arXiv 2202.08906), mean over tokens and layers
    expert_tokens: list[list[int]]  # [layers][experts]


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


def frequencies(shape: Shape, dtype: torch.dtype) -> Tensor:
    """[dimensions / 2], of RoPE, or of YaRN: pairs that turn often in the original context are kept, those that turn less than once are interpolated."""
    d, base, yarn = shape.rope_dimensions, shape.rope_base, shape.yarn
    each = base ** (-torch.arange(0, d, 2, dtype=dtype) / d)
    if not yarn:
        return each
    pair_of = lambda turns: d * math.log(yarn.original / (turns * 2 * math.pi)) / (2 * math.log(base))
    low, high = max(math.floor(pair_of(32)), 0), min(math.ceil(pair_of(1)), d - 1)
    kept = 1 - ((torch.arange(d // 2, dtype=dtype) - low) / max(high - low, 0.001)).clamp(0, 1)
    return each * kept + each / yarn.factor * (1 - kept)


def choose(scores: Tensor, bias: Tensor | None, count: int, routing: Routing) -> Tensor:
    """[tokens, count], experts of the highest scores, bias included, in the groups whose two highest add up to most (DeepSeek-V3, arXiv 2412.19437)."""
    scores = scores.detach() if bias is None else scores.detach() + bias
    if routing.groups > 1:
        groups = scores.view(len(scores), routing.groups, -1)
        best = groups.topk(2, -1).values.sum(-1).topk(routing.groups_used, -1).indices
        allowed = torch.zeros(len(scores), routing.groups, dtype=torch.bool).scatter(1, best, True)
        scores = groups.masked_fill(~allowed[..., None], -torch.inf).flatten(1)
    return scores.topk(count, -1).indices


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
        weight = self.weights[f"{name}.weight"]
        y = x @ (weight if weight.dim() == 2 else weight[expert]).T  # a mixture's experts share one
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

    def turn(self, x: Tensor, angles: Tensor) -> Tensor:
        return turned(x, angles, self.shape.rules.halves) * self.shape.rope_growth

    def of_heads(self, name: str) -> Tensor:
        """A matrix for each head, its adapter worked in."""
        weight, lora = self.weights[f"{name}.weight"], self.loras.get(f"{name}.weight")
        return weight + lora.scale * lora.b @ lora.a if lora else weight

    def latent_heads(self, block: str, x: Tensor, angles: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        shape, latent = self.shape, self.shape.latent
        straight = shape.head - latent.turned
        if f"{block}.attn_q_a.weight" in self.weights:
            q = self.linear(f"{block}.attn_q_b", self.norm(f"{block}.attn_q_a_norm", self.linear(f"{block}.attn_q_a", x)))
        else:
            q = self.linear(f"{block}.attn_q", x)
        q = q.view(len(x), shape.heads, shape.head)
        q = torch.cat([q[..., :straight], self.turn(q[..., straight:], angles)], -1)
        down = self.linear(f"{block}.attn_kv_a_mqa", x)
        numbers = self.norm(f"{block}.attn_kv_a_norm", down[:, : latent.numbers])
        shared = self.turn(down[:, None, latent.numbers :], angles).expand(-1, shape.heads, -1)
        if f"{block}.attn_kv_b.weight" in self.weights:
            both = self.linear(f"{block}.attn_kv_b", numbers).view(len(x), shape.heads, -1)
            own, v = both[..., :straight], both[..., straight:]
        else:
            own = torch.einsum("tl,hls->ths", numbers, self.of_heads(f"{block}.attn_k_b"))
            v = torch.einsum("tl,hvl->thv", numbers, self.of_heads(f"{block}.attn_v_b"))
        return q, torch.cat([own, shared], -1), v

    def attention(self, block: str, x: Tensor, angles: Tensor, mask: Tensor) -> Tensor:
        shape = self.shape
        if shape.latent:
            q, k, v = (each.transpose(0, 1) for each in self.latent_heads(block, x, angles))
        else:
            q = self.turn(self.heads(block, "q", x, shape.heads), angles).transpose(0, 1)
            k = self.turn(self.heads(block, "k", x, shape.kv_heads), angles).transpose(0, 1)
            v = self.heads(block, "v", x, shape.kv_heads).transpose(0, 1)
            k, v = (each.repeat_interleave(shape.heads // shape.kv_heads, 0) for each in (k, v))
        y = F.scaled_dot_product_attention(q[None], k[None], v[None], mask, scale=shape.attention_scale)[0]
        return self.linear(f"{block}.attn_output", y.transpose(0, 1).flatten(1))

    def expert(self, block: str, expert: int, x: Tensor) -> Tensor:
        kind = "_exps" if f"{block}.ffn_down_exps.weight" in self.weights else ""  # else MixLoRA's (arXiv 2404.15159)
        if f"{block}.ffn_gate_up_exps.weight" in self.weights:
            gate, up = self.of_expert(f"{block}.ffn_gate_up_exps", expert, x).chunk(2, -1)
        else:
            gate, up = (self.of_expert(f"{block}.ffn_{part}{kind}", expert, x) for part in ("gate", "up"))
        return self.of_expert(f"{block}.ffn_down{kind}", expert, F.silu(gate) * up)

    def dense(self, block: str, x: Tensor, kind: str = "") -> Tensor:
        return self.linear(f"{block}.ffn_down{kind}", F.silu(self.linear(f"{block}.ffn_gate{kind}", x)) * self.linear(f"{block}.ffn_up{kind}", x))

    def shared(self, block: str, x: Tensor) -> Tensor:
        y = self.dense(block, x, "_shexp")
        weight = self.weights.get(f"{block}.ffn_gate_inp_shexp.weight")
        return y if weight is None else y * torch.sigmoid(x @ weight.reshape(1, -1).T)

    def experts(self, block: str, x: Tensor, losses: Losses) -> Tensor:
        shape, routing = self.shape, self.shape.routing
        logits = self.linear(f"{block}.ffn_gate_inp", x)
        scores = logits.sigmoid() if routing.sigmoids else logits.softmax(-1)
        chosen = choose(scores, self.weights.get(f"{block}.exp_probs_b.bias"), shape.experts_used, routing)
        weights = scores.gather(-1, chosen)
        if routing.normalised:
            weights = weights / weights.sum(-1, keepdim=True)
        weights = weights * routing.scale
        counts = torch.bincount(chosen.flatten(), minlength=shape.experts)
        losses.expert_tokens.append(counts.tolist())
        shares, routed = scores / scores.sum(-1, keepdim=True), shape.layers - shape.dense_layers
        losses.balance = losses.balance + shape.experts * (counts / len(x) * shares.mean(0)).sum() / routed
        losses.z = losses.z + logits.logsumexp(-1).pow(2).mean() / routed
        y = torch.zeros_like(x)
        for expert in range(shape.experts):
            token, choice = (chosen == expert).nonzero(as_tuple=True)
            if len(token):
                y = y.index_add(0, token, weights[token, choice, None] * self.expert(block, expert, x[token]))
        return y + self.shared(block, x) if f"{block}.ffn_gate_shexp.weight" in self.weights else y

    def ffn(self, block: str, x: Tensor, losses: Losses) -> Tensor:
        if f"{block}.ffn_gate_inp.weight" in self.weights:
            return self.experts(block, x, losses)
        losses.expert_tokens.append([0] * self.shape.experts)
        return self.dense(block, x)

    def logits(self, batch: Batch, losses: Losses) -> Tensor:
        """Of batch.rows."""
        shape, embedding = self.shape, self.weights["token_embd.weight"]
        x = embedding[batch.tokens] * shape.embedding_scale
        factors = self.weights.get("rope_freqs.weight", self.weights.get("rope_factors_short.weight", torch.ones(())))  # batches are shorter than the original context
        angles, mask = batch.positions()[:, None] * frequencies(shape, x.dtype) / factors, batch.mask()
        for layer in range(shape.layers):
            block = f"blk.{layer}"
            x = x + shape.residual_scale * self.attention(block, self.norm(f"{block}.attn_norm", x), angles, mask)
            x = x + shape.residual_scale * self.ffn(block, self.norm(f"{block}.ffn_norm", x), losses)
        x = self.norm("output_norm", x[batch.rows])
        return x @ self.weights.get("output.weight", embedding).T * shape.logit_scale

    def losses(self, batch: Batch) -> Losses:
        stacks = {name: lora for name, lora in self.loras.items() if lora.a.dim() == 3}
        self.each = {name: [Lora(a, b, of.scale) for a, b in zip(of.a.unbind(), of.b.unbind())] for name, of in stacks.items()}
        nothing = torch.zeros((), dtype=self.weights["token_embd.weight"].dtype)
        losses = Losses(nothing, nothing, nothing, [])
        losses.tokens = F.cross_entropy(self.logits(batch, losses), batch.labels, reduction="none")
        return losses
