"""A character-level language model that only counts which character follows which.

New in 02: documents, a vocabulary, train/val/test splits, the loss in nats per character, sampling.
Source: "The spelled-out intro to language modeling: building makemore", A. Karpathy, 2022.
Run: python 02_bigram_counts/main.py --smoothing 0.1
"""

import json
import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import plumbing
from plumbing import ROOT, SPLITS, STAGE, BadInput


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = ROOT / "data" / "names.txt"  # one name a line, or a folder of train, val, test.txt
    seed: int = 42  # starts the random numbers that draw the samples
    steps: int = 1_000_000  # names to count, one a step; no more than there are
    smoothing: float = 0.1  # pseudo-count that every pair starts with
    out: Path = ROOT / "out" / STAGE  # folder for result.json, counts.json and loss.png

    def __post_init__(self):
        plumbing.check_ranges(self, seed=(0, 2**32 - 1), steps=(0, 10**9), smoothing=(0, 1e9))
        if self.steps == 0 and self.smoothing == 0:
            raise BadInput("--steps 0 with --smoothing 0 leaves no counts: raise one of them")


# ---- data ------------------------------------------------------------------------------------
def load_splits(path):
    """Return {"train": docs, "val": docs, "test": docs}, each a list of str.

    A folder's train.txt, val.txt and test.txt are used as they are. In a single file each line's
    own hash decides: 8 in 10 train, 1 in 10 val, 1 in 10 test. No random numbers, and a name that
    stands twice falls on one side, so none leaks from train into test. BadInput if one is empty.
    """
    if path.is_dir():
        splits = {name: plumbing.read_docs(path / f"{name}.txt") for name in SPLITS}
    else:
        splits = {name: [] for name in SPLITS}
        for doc in plumbing.read_docs(path):
            bucket = zlib.crc32(doc.encode()) % 10
            splits[{8: "val", 9: "test"}.get(bucket, "train")].append(doc)
    plumbing.check_splits(path, splits)
    return splits


class Tokenizer:
    """Characters to integers and back; BOS, the last id, marks both ends of a document."""

    def __init__(self, docs):
        self.chars = sorted(set("".join(docs)))
        self.stoi = {ch: i for i, ch in enumerate(self.chars)}
        self.itos = dict(enumerate(self.chars))
        self.BOS = len(self.chars)
        self.vocab_size = len(self.chars) + 1

    def encode(self, doc):
        """ "ab" -> [BOS, a, b, BOS]"""
        return [self.BOS, *(self.stoi[ch] for ch in doc), self.BOS]

    def decode(self, tokens):
        return "".join(self.itos[token] for token in tokens)


def pairs(docs, tokenizer):
    """Every (character, next character) of the documents, the final BOS among the latter."""
    tokens = [tokenizer.encode(doc) for doc in docs]
    xs = np.array([token for doc in tokens for token in doc[:-1]])  # (N,)
    ys = np.array([token for doc in tokens for token in doc[1:]])  # (N,)
    return xs, ys


# ---- model -----------------------------------------------------------------------------------
def probabilities(counts, smoothing):
    """P(next | current): every row of the smoothed counts divided by its sum. (V, V) -> (V, V)"""
    smoothed = counts + smoothing
    # A character that never occurred has a row of zeros; it stays one instead of becoming 0 / 0.
    return smoothed / np.maximum(smoothed.sum(axis=1, keepdims=True), 1e-300)  # (V, V) / (V, 1)


# ---- training --------------------------------------------------------------------------------
def train(config, docs, val_docs, tokenizer):
    """Count the pairs of the first config.steps documents, one at a time.

    Returns the counts (V, V), the curve (a look at 1, 10, 100, ... names) and the Progress.
    """
    counts = np.zeros((tokenizer.vocab_size, tokenizer.vocab_size))
    val = pairs(val_docs, tokenizer)
    steps = min(config.steps, len(docs))
    looks = {10**k for k in range(9)} | {steps}
    curve = [[0, None, evaluate(probabilities(counts, config.smoothing), *val)]]
    for step in (progress := plumbing.Progress(steps, what="name")):
        tokens = tokenizer.encode(docs[step])
        for x, y in zip(tokens, tokens[1:]):
            counts[x, y] += 1
        if step + 1 in looks:
            P = probabilities(counts, config.smoothing)
            loss = evaluate(P, *pairs(docs[: step + 1], tokenizer))
            curve.append([step + 1, loss, evaluate(P, *val)])
            print("names {:6,d} | their loss {:.4f} | val loss {:.4f}".format(*curve[-1]))
    return counts, curve, progress


# ---- evaluation ------------------------------------------------------------------------------
def evaluate(P, xs, ys):
    """Mean of -log P(next | current) over the pairs, in nats per character; inf where P is 0."""
    with np.errstate(divide="ignore"):
        return float(-np.log(P[xs, ys]).mean())


def letter_frequencies(counts, smoothing):
    """The table that ignores the current character: every row is P(next). (V, V) -> (V, V)"""
    return np.tile(probabilities(counts.sum(axis=0, keepdims=True), smoothing), (len(counts), 1))


# ---- samples ---------------------------------------------------------------------------------
def sample(P, tokenizer, rng, longest=100):
    """Draw one name: from BOS on, each character from the row of the one before, until BOS."""
    tokens = [tokenizer.BOS]
    while len(tokens) <= longest:
        tokens.append(rng.choice(tokenizer.vocab_size, p=P[tokens[-1]]))
        if tokens[-1] == tokenizer.BOS:
            break
    return tokenizer.decode(token for token in tokens if token != tokenizer.BOS)


# ---- main ------------------------------------------------------------------------------------
def main():
    config = plumbing.parse_flags(Config, __doc__)
    splits = load_splits(config.data)
    plumbing.prepare_out(config.out)
    docs = sum(splits.values(), [])
    tokenizer = Tokenizer(docs)
    V = tokenizer.vocab_size
    print(f"vocab size: {V}\nnum docs: {len(docs):,}\nnum params: {V * V:,} counts")

    counts, curve, progress = train(config, splits["train"], splits["val"], tokenizer)
    P = probabilities(counts, config.smoothing)
    letters = letter_frequencies(counts, config.smoothing)
    data = {name: pairs(split, tokenizer) for name, split in splits.items()}
    loss = {name: evaluate(P, *data[name]) for name in SPLITS}
    baselines = {
        "uniform": {name: math.log(V) for name in SPLITS},
        "letter frequencies": {name: evaluate(letters, *data[name]) for name in SPLITS},
    }
    print(f"letter frequencies alone: val {baselines['letter frequencies']['val']:.4f}")

    # The number the lecture prints: every name counted, no smoothing, scored on those same names.
    xs, ys = pairs(docs, tokenizer)
    everything = np.zeros((V, V))
    np.add.at(everything, (xs, ys), 1)
    whole_file = evaluate(probabilities(everything, 0), xs, ys)
    print(f"all {len(docs):,} names counted and scored, no smoothing: {whole_file:.5f}")

    rng = np.random.default_rng(config.seed)
    samples = [sample(P, tokenizer, rng) for _ in range(20)]
    print("samples:", ", ".join(samples[:10]))
    table = {"chars": "".join(tokenizer.chars), "counts": counts.astype(int).tolist()}
    plumbing.write_atomically(config.out / "counts.json", json.dumps(table).encode())
    plumbing.save_result(
        config, progress, "the next character depends on the one before", **plumbing.sizes(splits),
        vocab_size=V, params=V * V, chars_seen=int(counts.sum()),
        loss=loss, curve=curve, samples=samples,
        baselines=baselines, whole_file_unsmoothed=whole_file,
    )
    return progress.status


if __name__ == "__main__":
    plumbing.run(main)
