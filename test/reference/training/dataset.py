"""Encoded datasets (main/training/data/README.md), the order of their examples and how they share batches (native/train/data), written anew from their descriptions."""
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy
import torch
from model import Batch

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
ENTRY = struct.Struct("<QQII4III")  # place, row, file, flags, tokens and learnt ones of two sequences, prompt, checksum


@dataclass
class Example:
    tokens: list[int]
    learnt: list[bool]


def read_part(folder: Path, part: str) -> list[Example]:
    index, records = (folder / f"{part}.index").read_bytes(), (folder / f"{part}.examples").read_bytes()
    examples = []
    for at in range(0, len(index), ENTRY.size):
        begin, _, _, flags, count, learnt, *_, checksum = ENTRY.unpack_from(index, at)
        assert not flags & 1, "preferences are not read here"
        end = begin + 4 * count + 4 * -(-count // 32)
        assert zlib.crc32(index[at : at + ENTRY.size - 4] + records[begin:end]) == checksum
        tokens = numpy.frombuffer(records, "<i4", count, begin).tolist()
        bits = numpy.unpackbits(numpy.frombuffer(records, "u1", -(-count // 8), begin + 4 * count), bitorder="little")[:count].astype(bool)
        assert bits.sum() == learnt
        examples.append(Example(tokens, bits.tolist()))
    return examples


def mixed(value: int) -> int:
    """SplitMix64's output function."""
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & MASK
    return value ^ value >> 31


def epoch_order(seed: int, epoch: int, count: int) -> Iterator[int]:
    """A Feistel network of 8 rounds over the next even power of two, walked until it is below count."""
    half_bits = 2
    while 1 << 2 * half_bits < count:
        half_bits += 1
    half = (1 << half_bits) - 1
    state = mixed(mixed(seed + GOLDEN & MASK) ^ (epoch + GOLDEN & MASK))
    keys = [mixed(state + GOLDEN * (i + 1) & MASK) for i in range(8)]
    for position in range(count):
        value = position
        while True:
            left, right = value >> half_bits, value & half
            for key in keys:
                left, right = right, left ^ mixed(right * GOLDEN + key & MASK) & half
            value = left << half_bits | right
            if value < count:
                break
        yield value


def packed(examples: list[Example], batch_tokens: int, seed: int, look_ahead: int = 64) -> Iterator[list[Example]]:
    """Batches without end: the example that waits longest, then the longest of those ahead that fits (of equals the one that waits longer) until none does."""
    epoch = 0
    while True:
        order = epoch_order(seed, epoch, len(examples))
        ahead: list[Example] = []
        while True:
            batch, room = [], batch_tokens
            while True:
                while len(ahead) < look_ahead and (number := next(order, None)) is not None:
                    ahead.append(examples[number])
                fits = ahead[:1] if not batch else [each for each in ahead if len(each.tokens) <= room]
                if not fits:
                    break
                best = max(fits, key=lambda each: len(each.tokens))  # the first of equals
                ahead = [each for each in ahead if each is not best]
                batch.append(best)
                room -= len(best.tokens)
            if not batch:
                break
            yield batch
        epoch += 1


def in_order(examples: list[Example], batch_tokens: int) -> Iterator[list[Example]]:
    batch: list[Example] = []
    for example in examples:
        if batch and sum(len(each.tokens) for each in batch) + len(example.tokens) > batch_tokens:
            yield batch
            batch = []
        batch.append(example)
    if batch:
        yield batch


def to_batch(examples: list[Example]) -> Batch:
    """All learnt tokens count the same; their weights add up to 1."""
    rows, labels, tokens = [], [], []
    for example in examples:
        for i, (token, learnt) in enumerate(zip(example.tokens, example.learnt)):
            if i > 0 and learnt:
                rows.append(len(tokens) - 1)
                labels.append(token)
            tokens.append(token)
    weights = torch.full((len(rows),), 1 / len(rows))
    return Batch(torch.tensor(tokens), [len(each.tokens) for each in examples], torch.tensor(rows), torch.tensor(labels), weights)
