"""Token streams of the corpora, in the vocabulary of a GGUF file."""
import json
from pathlib import Path

import numpy as np
from gguf import GGUFReader
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

CORPORA = ["prose.txt", "spanish.txt", "jargon.txt", "dictionary.jsonl", "arithmetic.jsonl"]
CONTROL = 3  # token_type of the format
HELD_OUT = 0.02  # of each corpus, at its end


def field(reader: GGUFReader, key: str):
    return reader.get_field(key).contents()


def tokenizer_of(gguf_path: str) -> Tokenizer:
    """The byte-level BPE (GPT-2 pre-tokeniser) that the file describes."""
    reader = GGUFReader(gguf_path)
    tokens = field(reader, "tokenizer.ggml.tokens")
    merges = [tuple(merge.split(" ")) for merge in field(reader, "tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    kinds = field(reader, "tokenizer.ggml.token_type")
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token, kind in zip(tokens, kinds) if kind == CONTROL])
    return tokenizer


def chat(messages: list) -> str:
    """ChatML, as the file's template writes it."""
    return "".join(f"<|im_start|>{message['role']}\n{message['content']}<|im_end|>\n" for message in messages)


def streams(tokenizer: Tokenizer, folder: str) -> list:
    """[(name, training ids, held-out ids)] of each corpus."""
    result = []
    for name in CORPORA:
        text = Path(folder, name).read_text(encoding="utf-8")
        if name.endswith(".jsonl"):
            text = "".join(chat(json.loads(line)["messages"]) for line in text.splitlines() if line)
        # a piece at a time: the tokeniser takes minutes for one string of a megabyte
        pieces = [text[at : at + 20_000] for at in range(0, len(text), 20_000)]
        ids = np.concatenate([np.array(encoding.ids, dtype=np.int64) for encoding in tokenizer.encode_batch(pieces)])
        cut = int(len(ids) * (1 - HELD_OUT))
        result.append((name, ids[:cut], ids[cut:]))
    return result
