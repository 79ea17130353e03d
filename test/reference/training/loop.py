"""`loop.py JOB FIRST [--steps N] [--double] [--gradients OUTPUT [--only PATTERN]]`: the training loop that `moebius train --config JOB` is held against, in PyTorch.

It reads the job, the dataset that `moebius train` encoded in the job's folder, and FIRST, the adapter that it began with (`moebius export` of step 0, F32). Same order of examples, same
batches, same optimiser, schedule and clipping; autograd in place of our ops. JSON lines on stdout: {"step", "loss", "tokens", "targets", "gradientNorm"} and {"step", "validation"}.
"""
import argparse
import json
import math
import re
import time
from pathlib import Path

import gguf
import numpy
import torch
from dataset import in_order, packed, read_part, to_batch
from gguf_model import File, read_shape
from model import Lora, Model
from torch import Tensor

PARTS = {"attn_": "attention", "exps": "experts", "shexp": "shared", "ffn_gate_inp.": "router"}


def read_loras(job: dict, file: File, dtype: torch.dtype) -> tuple[dict[str, Lora], dict[str, Tensor]]:
    parameters = {name: tensor.requires_grad_() for name, tensor in file.tensors(dtype).items()}
    loras = {}
    for base in sorted(name.removesuffix(".lora_a") for name in parameters if name.endswith(".lora_a")):
        a, b = parameters[f"{base}.lora_a"], parameters[f"{base}.lora_b"]
        settings = next(job["adapter"][kind] for part, kind in PARTS.items() if part in base)
        rank = settings["loraRank"]
        a = a if a.dim() > 1 else a[None]  # GGUF drops a last dimension of 1
        assert rank == a.shape[-2]
        alpha = settings.get("loraAlpha", 2 * rank)
        loras[base] = Lora(a, b, alpha / (math.sqrt(rank) if settings.get("rankStabilised") else rank))
    return loras, parameters


def rate_at(schedule: dict, step: int) -> float:
    full, steps, warmup = schedule.get("learningRate", 2e-4), schedule["steps"], schedule.get("warmupSteps", 0)
    if step < warmup:
        return full * (step + 1) / warmup
    t = (step - warmup) / (steps - warmup)
    fall = {"constant": 0, "linear": t, "cosine": (1 - math.cos(math.pi * t)) / 2}[schedule.get("kind", "constant")]
    return full * (1 + fall * (schedule.get("finalFraction", 0) - 1))


def optimiser_of(settings: dict, parameters: list[Tensor]) -> torch.optim.Optimizer:
    if settings.get("kind", "adamw") == "sgd":
        return torch.optim.SGD(parameters, lr=0)
    betas = (settings.get("beta1", 0.9), settings.get("beta2", 0.999))
    return torch.optim.AdamW(parameters, lr=0, betas=betas, eps=settings.get("epsilon", 1e-8), weight_decay=settings.get("weightDecay", 0))


def validation_loss(model: Model, examples: list, batch_tokens: int, dtype: torch.dtype) -> float:
    total, count = 0.0, 0
    with torch.no_grad():
        for each in in_order(examples, max(batch_tokens, max(len(example.tokens) for example in examples))):
            losses = model.losses(to_batch(each)).tokens
            total, count = total + losses.sum().item(), count + len(losses)
    return total / count


def write_gradients(path: str, only: str, parameters: dict[str, Tensor]) -> None:
    writer = gguf.GGUFWriter(path, "gradients")
    for name, parameter in parameters.items():
        if re.search(only, name):
            writer.add_tensor(name, parameter.grad.numpy().astype(numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    arguments = argparse.ArgumentParser()
    for name in ("job", "first"):
        arguments.add_argument(name, type=Path)
    arguments.add_argument("--model", type=Path, default=Path(__file__).parent / "../../../resources/models/tiny-moe.gguf")
    arguments.add_argument("--steps", type=int, help="fewer than the job's")
    arguments.add_argument("--double", action="store_true")
    arguments.add_argument("--gradients", help="file of the last step's gradients, before clipping")
    arguments.add_argument("--only", default="", help="of parameters whose names have this pattern")
    given = arguments.parse_args()
    job = json.loads(given.job.read_text())
    folder, schedule = given.job.parent / job["folder"] / "data", job["schedule"]
    dtype = torch.float64 if given.double else torch.float32
    torch.set_num_threads(job.get("threads", torch.get_num_threads()))
    base = File(str(given.job.parent / job["model"] if "model" in job else given.model))
    loras, parameters = read_loras(job, File(str(given.first)), dtype)
    model = Model(read_shape(base), base.tensors(dtype), loras)
    optimiser = optimiser_of(job.get("optimiser", {}), list(parameters.values()))
    factors, batch_tokens = job.get("routerLosses", {}), job.get("batchTokens", 2048)
    clip = job.get("clip", 0 if job.get("optimiser", {}).get("kind") == "sgd" else 1)
    batches, held_out = packed(read_part(folder, "train"), batch_tokens, job.get("seed", 1)), read_part(folder, "validation")
    tell = lambda **event: print(json.dumps(event), flush=True)
    tell(step=0, validation=validation_loss(model, held_out, batch_tokens, dtype))
    steps = given.steps or schedule["steps"]
    for step in range(steps):
        began = time.perf_counter()
        batch = to_batch(next(batches))
        optimiser.zero_grad()
        losses = model.losses(batch)
        loss = (losses.tokens * batch.weights.to(dtype)).sum()
        (loss + factors.get("balance", 0) * losses.balance + factors.get("z", 0) * losses.z).backward()
        norm = torch.cat([parameter.grad.flatten() for parameter in parameters.values()]).double().norm().item()
        if given.gradients and step == steps - 1:
            write_gradients(given.gradients, given.only, parameters)
        if clip and norm > clip:
            for parameter in parameters.values():
                parameter.grad *= clip / norm
        for group in optimiser.param_groups:
            group["lr"] = rate_at(schedule, step)
        optimiser.step()
        seconds = time.perf_counter() - began
        tell(step=step + 1, loss=loss.item(), balanceLoss=losses.balance.item(), zLoss=losses.z.item(), tokens=len(batch.tokens), targets=len(batch.rows), gradientNorm=norm, seconds=seconds)
        if step + 1 == steps or job.get("validateEvery") and (step + 1) % job["validateEvery"] == 0:
            tell(step=step + 1, validation=validation_loss(model, held_out, batch_tokens, dtype))


if __name__ == "__main__":
    main()
