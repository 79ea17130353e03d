"""A small OLMoE (arXiv 2409.02060): 64 fine-grained experts, 8 per token, softmax router without renormalisation, RMS norms on q and k."""
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Shape:
    vocabulary: int = 4096
    layers: int = 6
    hidden: int = 96
    heads: int = 3
    experts: int = 64
    experts_used: int = 8
    expert_width: int = 32
    context: int = 256
    rope_base: float = 10000.0
    epsilon: float = 1e-5


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """RoPE over halves (NeoX order), as llama.cpp does for OLMoE. x: [batch, head, token, head size]."""
    left, right = x.chunk(2, dim=-1)
    return torch.cat([left * cosine - right * sine, right * cosine + left * sine], dim=-1)


class Attention(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.q, self.k, self.v, self.output = (nn.Linear(shape.hidden, shape.hidden, bias=False) for _ in range(4))
        self.q_norm = nn.RMSNorm(shape.hidden, eps=shape.epsilon)
        self.k_norm = nn.RMSNorm(shape.hidden, eps=shape.epsilon)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        batch, tokens, hidden = x.shape
        heads = lambda y: y.view(batch, tokens, self.shape.heads, -1).transpose(1, 2)
        q = rotate(heads(self.q_norm(self.q(x))), cosine, sine)
        k = rotate(heads(self.k_norm(self.k(x))), cosine, sine)
        y = F.scaled_dot_product_attention(q, k, heads(self.v(x)), is_causal=True)
        return self.output(y.transpose(1, 2).reshape(batch, tokens, hidden))


class Experts(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.router = nn.Linear(shape.hidden, shape.experts, bias=False)
        self.gate = nn.Parameter(torch.empty(shape.experts, shape.expert_width, shape.hidden))
        self.up = nn.Parameter(torch.empty(shape.experts, shape.expert_width, shape.hidden))
        self.down = nn.Parameter(torch.empty(shape.experts, shape.hidden, shape.expert_width))

    def forward(self, x: Tensor) -> tuple:
        """x: [token, hidden]. Returns the sum over experts, the load-balance loss (Switch, arXiv 2101.03961) and the z-loss (ST-MoE, arXiv 2202.08906)."""
        shape = self.shape
        logits = self.router(x)
        probabilities = logits.softmax(-1)
        weights, chosen = probabilities.topk(shape.experts_used, -1)
        order = chosen.flatten().argsort()
        token = order // shape.experts_used
        counts = torch.bincount(chosen.flatten(), minlength=shape.experts)
        # unbind: the gradient of indexing would be as large as all experts, for each of them
        matrices = zip(self.gate.unbind(), self.up.unbind(), self.down.unbind())
        pieces = []
        for rows, (gate, up, down) in zip(x[token].split(counts.tolist()), matrices):
            pieces.append((F.silu(rows @ gate.T) * (rows @ up.T)) @ down.T)
        y = torch.cat(pieces) * weights.flatten()[order].unsqueeze(-1)
        balance = shape.experts * (counts / counts.sum() * probabilities.mean(0)).sum()
        return torch.zeros_like(x).index_add(0, token, y), balance, logits.logsumexp(-1).square().mean()


class Layer(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.attention_norm = nn.RMSNorm(shape.hidden, eps=shape.epsilon)
        self.attention = Attention(shape)
        self.experts_norm = nn.RMSNorm(shape.hidden, eps=shape.epsilon)
        self.experts = Experts(shape)


class Moe(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.hidden)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.hidden, eps=shape.epsilon)
        self.head = nn.Linear(shape.hidden, shape.vocabulary, bias=False)
        size = shape.hidden // shape.heads
        angle = torch.outer(torch.arange(shape.context), shape.rope_base ** (-torch.arange(0, size, 2) / size))
        self.register_buffer("cosine", angle.cos(), persistent=False)
        self.register_buffer("sine", angle.sin(), persistent=False)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5 if parameter.dim() == 3 else 0.04)

    def forward(self, ids: Tensor) -> tuple:
        """ids: [batch, token]. Returns logits [batch, token, vocabulary], balance loss, z-loss (means over layers)."""
        x = self.embedding(ids)
        cosine, sine = self.cosine[: ids.shape[1]], self.sine[: ids.shape[1]]
        balance, z = 0.0, 0.0
        for layer in self.layers:
            x = x + layer.attention(layer.attention_norm(x), cosine, sine)
            y, own_balance, own_z = layer.experts(layer.experts_norm(x).flatten(0, 1))
            x = x + y.view_as(x)
            balance, z = balance + own_balance, z + own_z
        return self.head(self.norm(x)), balance / self.shape.layers, z / self.shape.layers
