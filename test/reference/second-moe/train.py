"""Trains the model of model.py and writes it as a GGUF file. README.md says how."""
import argparse
import json
import math
import time

import numpy as np
import torch
from torch.nn import functional as F

from export import write_gguf
from model import Moe, Shape
from text import streams, tokenizer_of

BATCH = 8  # sequences
WARM_UP = 40  # steps
BALANCE, Z = 0.08, 0.001  # weights of the router losses; OLMoE has 0.01 for a sum over its 8 choices, which is 8 times this mean
PEAK_RATE = 4e-3


def rate_at(step: int, done: float) -> float:
    """Linear warm-up, then half a cosine down to a twentieth. done: part of the training, 0..1."""
    return PEAK_RATE * min(1.0, (step + 1) / WARM_UP) * (0.05 + 0.475 * (1 + math.cos(math.pi * min(done, 1.0))))


def batch_of(data: list, context: int, random: np.random.Generator) -> torch.Tensor:
    """[BATCH, context + 1]: windows of corpora drawn by the square root of their sizes."""
    sizes = np.sqrt([len(ids) for _, ids, _ in data])
    rows = []
    for source in random.choice(len(data), BATCH, p=sizes / sizes.sum()):
        ids = data[source][1]
        start = random.integers(0, len(ids) - context - 1)
        rows.append(ids[start : start + context + 1])
    return torch.from_numpy(np.stack(rows))


def loss_of(model: Moe, ids: torch.Tensor) -> tuple:
    logits, balance, z = model(ids[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()), balance, z


@torch.no_grad()
def held_out(model: Moe, data: list) -> dict:
    """Nats per token on at most 8 windows of the end of each corpus."""
    result = {}
    for name, _, ids in data:
        context = model.shape.context
        windows = [ids[at : at + context + 1] for at in range(0, min(len(ids) - context - 1, 8 * context), context)]
        result[name] = round(sum(loss_of(model, torch.from_numpy(window)[None])[0].item() for window in windows) / len(windows), 3)
    return result


def train(model: Moe, data: list, steps: int, minutes: float, seed: int) -> None:
    """Ends after so many steps or minutes, whichever is first; the learning rate falls accordingly."""
    random = np.random.default_rng(seed)
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=PEAK_RATE, betas=(0.9, 0.95), fused=True)
    began = time.monotonic()
    for step in range(steps):
        done = max(step / steps, (time.monotonic() - began) / (60 * minutes))
        if done >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, done)
        loss, balance, z = loss_of(model, batch_of(data, model.shape.context, random))
        (loss + BALANCE * balance + Z * z).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step % 20 == 0:
            print(f"step {step} loss {loss.item():.3f} balance {balance.item():.3f} {time.monotonic() - began:.0f} s", flush=True)


def check_values(model: Moe, tokenizer, prompt: str) -> dict:
    """What check.mjs compares the engine with: the logits behind the prompt."""
    ids = tokenizer.encode(prompt).ids
    with torch.no_grad():
        logits = model(torch.tensor([ids]))[0][0, -1]
    return {"prompt": prompt, "promptTokens": ids, "logits": [round(value, 5) for value in logits.tolist()]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpora", help="folder with prose.txt, spanish.txt, jargon.txt, dictionary.jsonl, arithmetic.jsonl")
    parser.add_argument("vocabulary", help="a GGUF file with the tokeniser: resources/models/tiny-moe.gguf")
    parser.add_argument("output", help="the GGUF file to write; OUTPUT.json beside it holds logits to compare with")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    tokenizer = tokenizer_of(options.vocabulary)
    data = streams(tokenizer, options.corpora)
    print({name: len(ids) for name, ids, _ in data}, flush=True)
    model = Moe(Shape(vocabulary=tokenizer.get_vocab_size()))
    train(model, data, options.steps, options.minutes, seed=1)
    print("held-out loss, nats per token:", held_out(model, data), flush=True)
    write_gguf(model, options.vocabulary, options.output)
    with open(options.output + ".json", "w", encoding="utf-8") as file:
        json.dump(check_values(model, tokenizer, "In the beginning God created"), file)


if __name__ == "__main__":
    main()
