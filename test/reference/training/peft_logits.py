"""`peft_logits.py BASE PEFT MERGED`: loads the folder that `moebius export --format peft` wrote with PEFT itself, and compares logits with those of the merged model (F32)."""
import sys

import peft
import torch
from gguf_model import File, read_shape
from hugging_face import transformers_model
from model import Batch, Losses, Model


def main(base: str, adapter: str, merged: str) -> None:
    dtype = torch.float64
    tokens = torch.randint(0, 4096, (64,), generator=torch.Generator().manual_seed(1))
    rows = torch.arange(len(tokens))
    plain = transformers_model(File(base), dtype)
    with torch.no_grad():
        before = plain(tokens[None]).logits[0]
        tuned = peft.PeftModel.from_pretrained(plain, adapter).to(dtype).eval()
        theirs = tuned(tokens[None]).logits[0]
        file = File(merged)
        nothing = torch.zeros((), dtype=dtype)
        ours = Model(read_shape(file), file.tensors(dtype), {}).logits(Batch(tokens, [len(tokens)], rows, rows, rows), Losses(nothing, nothing, nothing, []))
    most = ours.abs().max()
    off, moved = ((ours - theirs).abs().max() / most).item(), ((before - theirs).abs().max() / most).item()
    print(f"PEFT {peft.__version__}: logits are {off:.1e} of the largest from the merged model's; the adapter moves them by {moved:.1e}")
    assert off < 1e-5 < moved


main(*sys.argv[1:])
