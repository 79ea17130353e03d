"""`gradients.py CASES OUTPUT`: gradients in double precision of each NAME.case.gguf and NAME.base.gguf that native/test/train-reference-test wrote, as OUTPUT/NAME.gguf."""
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import gguf
import numpy
import torch
from gguf_model import File, Shape, read_shape
from model import Batch, Lora, Losses, Model
from torch import Tensor


def read_batch(case: File) -> Batch:
    numbers = lambda key: torch.tensor(case.get(key))
    return Batch(numbers("tokens"), list(case.get("lengths")), numbers("rows"), numbers("labels"), numbers("weights").double())


def read_loras(case: File, parameters: dict[str, Tensor]) -> dict[str, Lora]:
    listed = zip(*(case.get(f"lora.{key}") for key in ("base", "rank", "alpha", "is_rank_stabilised")))
    divisor = lambda rank, stabilised: rank**0.5 if stabilised else rank
    return {
        base: Lora(parameters[f"{base}.lora_a"], parameters[f"{base}.lora_b"], alpha / divisor(rank, stabilised)) for base, rank, alpha, stabilised in listed
    }


def with_mixture(shape: Shape, case: File) -> Shape:
    """Of a dense model with a mixture of LoRA experts, if the case has one."""
    experts = case.get("mixture.expert_count")
    return shape if experts is None else replace(shape, experts=experts, experts_used=case.get("mixture.expert_used_count"))


def write(path: Path, checksum: int, loss: float, losses: Losses, parameters: dict[str, Tensor]) -> None:
    writer = gguf.GGUFWriter(path, "gradients")
    writer.add_uint32("case.crc32", checksum)
    writer.add_float64("loss", loss)
    writer.add_float64("balance_loss", losses.balance.item())
    writer.add_float64("z_loss", losses.z.item())
    if losses.expert_tokens:
        writer.add_array("expert_tokens", [count for layer in losses.expert_tokens for count in layer])
    for name, parameter in parameters.items():
        writer.add_tensor(name, parameter.grad.numpy().astype(numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main(cases: Path, output: Path) -> None:
    for path in sorted(cases.glob("*.case.gguf")):
        name = path.name.removesuffix(".case.gguf")
        base_path = cases / f"{name}.base.gguf"
        base, case = File(str(base_path)), File(str(path))
        parameters = {key: tensor.requires_grad_() for key, tensor in case.tensors(torch.float64).items()}
        weights = base.tensors(torch.float64) | parameters
        batch = read_batch(case)
        losses = Model(with_mixture(read_shape(base), case), weights, read_loras(case, parameters)).losses(batch)
        loss = (losses.tokens * batch.weights).sum()
        (loss + case.get("factor.balance") * losses.balance + case.get("factor.z") * losses.z).backward()
        checksum = zlib.crc32(base_path.read_bytes()) ^ zlib.crc32(path.read_bytes())
        write(output / f"{name}.gguf", checksum, loss.item(), losses, parameters)
        print(f"{name}: loss {loss.item():.6f}, balance {losses.balance.item():.6f}, z {losses.z.item():.6f}, {len(parameters)} gradients")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
