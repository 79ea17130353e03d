"""`check_transformers.py CASES`: logits of model.py and of Hugging Face Transformers, in double precision, for each NAME.base.gguf of CASES: two readings of an architecture."""
import sys
from pathlib import Path

import torch
from gguf_model import File, read_shape
from hugging_face import transformers_model
from model import Batch, Losses, Model


def main(cases: Path) -> None:
    tokens = torch.randint(0, 4096, (48,), generator=torch.Generator().manual_seed(1))
    rows = torch.arange(len(tokens))
    for path in sorted(cases.glob("*.base.gguf")):
        file = File(str(path))
        model = Model(read_shape(file), file.tensors(torch.float64), {})
        nothing = torch.zeros((), dtype=torch.float64)
        with torch.no_grad():
            ours = model.logits(Batch(tokens, [len(tokens)], rows, rows, rows), Losses(nothing, nothing, nothing, []))
            theirs = transformers_model(file, torch.float64)(tokens[None]).logits[0]
        off = ((ours - theirs).abs().max() / theirs.abs().max()).item()
        print(f"{path.name.removesuffix('.base.gguf')}: {off:.1e} of the largest logit apart")
        assert off < 1e-5  # Transformers turns by angles in single precision


main(Path(sys.argv[1]))
