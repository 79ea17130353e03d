"""LoRA fine-tuning of a qwen3moe in PyTorch, written to be fast on a CPU: what `npm run bench -- train` holds the trainer against.

usage: speed_loop.py MODEL.gguf ENCODED_DATASET --rank R --steps N --threads N [--checkpointing]
Prints one JSON object: {torch, losses, seconds, tokens, peak_bytes, gemm_flops}; seconds are those of each step but the first.

F32 throughout. Weights are dequantised once; frozen ones have no gradient. Tokens are sorted by expert, so that each expert is one product (F.linear) of all of its tokens;
attention is scaled_dot_product_attention over [sequences, heads, tokens, d] (flash kernel, causal), AdamW is the fused one. --checkpointing keeps each layer's input only
and computes the layer again in the backward pass. Every example of the dataset has the same length, and a step takes all of them.
"""
import argparse
import json
import resource
import struct
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint


class Gguf:
    """Metadata and tensors (F32, Q8_0) of a GGUF file, read one at a time: the whole file is never in memory beside the weights."""

    scalars = {0: 'B', 1: 'b', 2: 'H', 3: 'h', 4: 'I', 5: 'i', 6: 'f', 7: '?', 10: 'Q', 11: 'q', 12: 'd'}

    def __init__(self, path):
        self.file = open(path, 'rb')
        self.file.read(8)
        tensors, entries = self.take('QQ')
        self.metadata = {self.text(): self.value(self.take('I')[0]) for _ in range(entries)}
        self.tensors = {}
        for _ in range(tensors):
            name, dimensions = self.text(), self.take('I')[0]
            self.tensors[name] = (self.take(f'{dimensions}Q'), *self.take('IQ'))
        self.data = (self.file.tell() + 31) // 32 * 32

    def take(self, form):
        return struct.unpack('<' + form, self.file.read(struct.calcsize('<' + form)))

    def text(self):
        return self.file.read(self.take('Q')[0]).decode('utf-8', 'replace')

    def value(self, kind):
        if kind == 8:
            return self.text()
        if kind == 9:
            of, count = self.take('IQ')
            return [self.value(of) for _ in range(count)]
        return self.take(self.scalars[kind])[0]

    def tensor(self, name):
        shape, kind, offset = self.tensors[name]
        count = int(np.prod(shape))
        self.file.seek(self.data + offset)
        if kind == 0:
            weights = np.fromfile(self.file, np.float32, count)
        elif kind == 8:
            blocks = np.fromfile(self.file, np.dtype([('scale', '<f2'), ('values', 'i1', 32)]), count // 32)
            weights = np.multiply(blocks['values'], blocks['scale'].astype(np.float32)[:, None], dtype=np.float32)
        else:
            raise SystemExit(f'{name} has type {kind}; F32 and Q8_0 are read')
        return torch.from_numpy(weights.reshape(shape[::-1]))


def read_examples(folder):
    """[examples, tokens] of an encoded dataset (main/training/data/README.md), all learnt."""
    index, records = (Path(folder) / 'train.index').read_bytes(), (Path(folder) / 'train.examples').read_bytes()
    rows = []
    for at in range(0, len(index), 48):
        offset, tokens = struct.unpack_from('<Q', index, at)[0], struct.unpack_from('<I', index, at + 24)[0]
        rows.append(np.frombuffer(records, '<i4', tokens, offset).astype(np.int64))
    return torch.from_numpy(np.stack(rows))


class Lora:
    """W x + scale * B (A x); of a stack of experts W [experts, out, in] with an A and a B each."""

    def __init__(self, weight, rank, parameters):
        *stack, out, into = weight.shape
        self.weight, self.scale = weight, 2.0
        self.a = torch.empty(*stack, rank, into).uniform_(-(into**-0.5), into**-0.5).requires_grad_()
        self.b = torch.zeros(*stack, out, rank).requires_grad_()
        parameters += [self.a, self.b]

    def __call__(self, x):
        return F.linear(x, self.weight) + F.linear(F.linear(x, self.a) * self.scale, self.b)

    def of_expert(self, x, weight, a, b):
        return torch.addmm(F.linear(x, weight), F.linear(x, a), b.t(), alpha=self.scale)


def rms(x, weight, epsilon):
    return F.rms_norm(x, (x.shape[-1],), weight, epsilon)


class Layer:
    def __init__(self, file, index, rank, parameters, settings):
        read = lambda name: file.tensor(f'blk.{index}.{name}.weight')
        lora = lambda name: Lora(read(name), rank, parameters)
        self.settings = settings
        self.attn_norm, self.ffn_norm, self.q_norm, self.k_norm = (read(n) for n in ('attn_norm', 'ffn_norm', 'attn_q_norm', 'attn_k_norm'))
        self.q, self.k, self.v, self.output = (lora(n) for n in ('attn_q', 'attn_k', 'attn_v', 'attn_output'))
        self.router = read('ffn_gate_inp')
        self.gate, self.up, self.down = (lora(n) for n in ('ffn_gate_exps', 'ffn_up_exps', 'ffn_down_exps'))

    def attention(self, x, cosines, sines):
        s = self.settings
        sequences, tokens = x.shape[:2]
        normed = rms(x, self.attn_norm, s['epsilon'])

        def heads(values, count):
            return values.view(sequences, tokens, count, -1)

        def turned(values):
            half = cosines.shape[-1]
            low, high, rest = values[..., :half], values[..., half : 2 * half], values[..., 2 * half :]
            return torch.cat((low * cosines - high * sines, high * cosines + low * sines, rest), -1).transpose(1, 2)

        q = turned(rms(heads(self.q(normed), s['heads']), self.q_norm, s['epsilon']))
        k = turned(rms(heads(self.k(normed), s['kv_heads']), self.k_norm, s['epsilon']))
        v = heads(self.v(normed), s['kv_heads']).transpose(1, 2)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return x + self.output(seen.transpose(1, 2).reshape(sequences, tokens, -1))

    def experts(self, x):
        s = self.settings
        flat = x.reshape(-1, x.shape[-1])
        normed = rms(flat, self.ffn_norm, s['epsilon'])
        weights, chosen = F.softmax(F.linear(normed, self.router), -1).topk(s['used'], -1)
        weights = (weights / weights.sum(-1, keepdim=True)).reshape(-1)
        order = chosen.reshape(-1).argsort(stable=True)
        tokens = order // s['used']
        counts = torch.bincount(chosen.reshape(-1), minlength=self.gate.weight.shape[0]).tolist()
        inputs = normed.index_select(0, tokens).split(counts)
        # one unbind for each stack: the gradient is one stack, too, not a zero-filled stack for every expert
        stacks = [t.unbind(0) for m in (self.gate, self.up, self.down) for t in (m.weight, m.a, m.b)]
        shares = weights.index_select(0, order).unsqueeze(1).split(counts)
        outputs = []
        for expert, mine in enumerate(inputs):
            if counts[expert]:
                of = [stack[expert] for stack in stacks]
                hidden = F.silu(self.gate.of_expert(mine, *of[0:3])) * self.up.of_expert(mine, *of[3:6])
                outputs.append(self.down.of_expert(hidden * shares[expert], *of[6:9]))
        return (flat.index_add(0, tokens, torch.cat(outputs))).view_as(x)

    def __call__(self, x, cosines, sines):
        return self.experts(self.attention(x, cosines, sines))


class Model:
    def __init__(self, path, rank):
        file = Gguf(path)
        number = lambda key: file.metadata[f'qwen3moe.{key}']
        settings = {'heads': number('attention.head_count'), 'kv_heads': number('attention.head_count_kv'), 'used': number('expert_used_count'), 'epsilon': number('attention.layer_norm_rms_epsilon')}
        self.parameters = []
        self.embedding, self.norm, self.epsilon = file.tensor('token_embd.weight'), file.tensor('output_norm.weight'), settings['epsilon']
        self.layers = [Layer(file, i, rank, self.parameters, settings) for i in range(number('block_count'))]
        turned = file.metadata.get('qwen3moe.rope.dimension_count', number('attention.key_length'))
        self.frequencies = number('rope.freq_base') ** (-torch.arange(0, turned, 2) / turned)

    def loss(self, tokens, checkpointing):
        angles = torch.outer(torch.arange(tokens.shape[1]).float(), self.frequencies)[None, :, None, :]
        cosines, sines = angles.cos(), angles.sin()
        x = F.embedding(tokens, self.embedding)
        for layer in self.layers:
            x = checkpoint(layer, x, cosines, sines, use_reentrant=False) if checkpointing else layer(x, cosines, sines)
        hidden = rms(x[:, :-1].reshape(-1, x.shape[-1]), self.norm, self.epsilon)
        return F.cross_entropy(F.linear(hidden, self.embedding), tokens[:, 1:].reshape(-1))


def gemm_flops():
    """Of the best of ten products of 2048 x 2048."""
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    best = min(timed(lambda: a @ b) for _ in range(10))
    return 2 * 2048**3 / best


def timed(work):
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def read_options():
    parser = argparse.ArgumentParser()
    parser.add_argument('model')
    parser.add_argument('data')
    for name in ('rank', 'steps', 'threads'):
        parser.add_argument(f'--{name}', type=int, required=True)
    parser.add_argument('--checkpointing', action='store_true')
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    return options


def run(steps, parameters, tokens, loss_of):
    """Takes the steps of loss_of(), and prints what they cost."""
    optimiser = torch.optim.AdamW(parameters, lr=2e-4, weight_decay=0, fused=True)
    losses, seconds = [], []

    def step():
        optimiser.zero_grad(set_to_none=True)
        loss = loss_of()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        losses.append(loss.item())

    for _ in range(steps):
        seconds.append(timed(step))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({'torch': torch.__version__, 'losses': losses, 'seconds': seconds[1:], 'tokens': tokens.numel(), 'peak_bytes': peak, 'gemm_flops': gemm_flops()}))


def main():
    options = read_options()
    model, tokens = Model(options.model, options.rank), read_examples(options.data)
    run(options.steps, model.parameters, tokens, lambda: model.loss(tokens, options.checkpointing))


if __name__ == '__main__':
    main()
