"""A character-level language model that only counts which character follows which.

New in 02: documents, a vocabulary, train/val/test splits, the loss in nats per character, sampling.
Source: "The spelled-out intro to language modeling: building makemore", A. Karpathy, 2022.
Run: python 02_bigram_counts/main.py --smoothing 0.1
"""

import json
import math
import random
from dataclasses import dataclass
from pathlib import Path

import common
from common import OUT, ROOT, SPLITS, BadInput, flag

import numpy as np

from names import Tokenizer, count_docs, load_splits, mark_known


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = flag(
        ROOT / "data/names.txt", "one name per line, or a folder with train, val and test.txt"
    )
    seed: int = flag(42, "seeds the random samples", 0, 2**32 - 1)
    steps: int = flag(1_000_000, "names to count, one per step; at most all of them", 0, 10**9)
    smoothing: float = flag(0.1, "pseudo-count that every pair starts with", 0, 1e9)
    out: Path = flag(OUT, "folder for result.json and model.json")

    def __post_init__(self):
        if self.steps == 0 and self.smoothing == 0:
            raise BadInput("--steps 0 with --smoothing 0 leaves no counts: raise one of them")


# ---- data ------------------------------------------------------------------------------------
def pairs(docs, tokenizer):
    """Every character of the documents and the next one, which is BOS after the last."""
    tokens = [tokenizer.encode(doc) for doc in docs]
    xs = np.array([token for doc in tokens for token in doc[:-1]])  # (N,)
    ys = np.array([token for doc in tokens for token in doc[1:]])  # (N,)
    return xs, ys


# ---- model -----------------------------------------------------------------------------------
@dataclass
class Bigram:
    P: np.ndarray  # (V, V); P[x, y] is the probability of y after x
    tokenizer: Tokenizer


def probabilities(counts, smoothing):
    """P(next | current): every row of the smoothed counts divided by its sum. (V, V) -> (V, V)"""
    smoothed = counts + smoothing
    # The row of a character that never occurred: keep it zero rather than divide 0 by 0.
    return smoothed / np.maximum(smoothed.sum(axis=1, keepdims=True), 1e-300)  # (V, V) / (V, 1)


# ---- training --------------------------------------------------------------------------------
def train(config, docs, val_docs, tokenizer):
    """Count the pairs of the first config.steps documents. Returns the counts (V, V) and the log.

    The log measures both losses after 1, 10, 100, ... documents. The train loss is the loss on the
    documents that are counted so far.
    """
    counts = np.zeros((tokenizer.vocab_size, tokenizer.vocab_size))

    def loss(docs):
        return evaluate(probabilities(counts, config.smoothing), *pairs(docs, tokenizer))

    log = common.Log(
        min(config.steps, len(docs)),
        val_loss=lambda: loss(val_docs),
        train_loss=lambda: loss(docs[: log.done]) if log.done else None,
        looks=[10**k for k in range(10)],
        weights=counts.copy,
    )
    for step in log:
        tokens = tokenizer.encode(docs[step])
        for x, y in zip(tokens, tokens[1:]):
            counts[x, y] += 1
    return counts, log


# ---- evaluation ------------------------------------------------------------------------------
def evaluate(P, xs, ys):
    """Mean of -log P(next | current) over the pairs, in nats per character; inf where P is 0."""
    with np.errstate(divide="ignore"):
        return float(-np.log(P[xs, ys]).mean())


def letter_frequencies(counts, smoothing):
    """The table that ignores the current character: every row is P(next). (V, V) -> (V, V)"""
    return np.tile(probabilities(counts.sum(axis=0, keepdims=True), smoothing), (len(counts), 1))


def unsmoothed_loss(docs, tokenizer):
    """The number that the lecture prints: it counts all names and scores the same names."""
    xs, ys = pairs(docs, tokenizer)
    counts = np.zeros((tokenizer.vocab_size, tokenizer.vocab_size))
    np.add.at(counts, (xs, ys), 1)
    return evaluate(probabilities(counts, 0), xs, ys)


def log_probs(model, text):
    """One row for each character of a text and one for its end: log P of every token there.

    -> list[N + 1] of list[V]
    """
    tokens = model.tokenizer.encode(text)
    with np.errstate(divide="ignore"):  # without smoothing, log 0 is -inf
        return np.log(model.P[tokens[:-1]]).tolist()


# ---- samples ---------------------------------------------------------------------------------
def sample(model, temperature=1.0, longest=100):
    """Draw one name: start at BOS, and draw from the row of the latest character until BOS comes.

    P ** (1 / temperature) favours likely characters at a temperature below 1.
    """
    BOS = model.tokenizer.BOS
    tokens = [BOS]
    while len(tokens) <= longest:
        row = model.P[tokens[-1]]  # (V,)
        weights = (row / row.max()) ** (1 / temperature)  # the largest is 1: not all round to 0
        tokens.append(random.choices(range(len(row)), weights)[0])
        if tokens[-1] == BOS:
            break
    return model.tokenizer.decode(token for token in tokens if token != BOS)


# ---- main ------------------------------------------------------------------------------------
def to_rows(counts):
    """The table as lists for JSON. If it is large, a row is {next: count} without the zeros."""
    if len(counts) <= 1000:
        return counts.tolist()
    followers = [np.flatnonzero(row) for row in counts]
    return [dict(zip(map(str, ys), row[ys].tolist())) for row, ys in zip(counts, followers)]


def from_rows(rows):
    """The table (V, V) that to_rows() was given."""
    if not isinstance(rows[0], dict):
        return np.array(rows)
    counts = np.zeros((len(rows), len(rows)))
    for x, row in enumerate(rows):
        counts[x, [int(y) for y in row]] = [*row.values()]
    return counts


def load(folder, step=None):
    """The trained model that main() wrote, or the model as it was after `step` documents.

    KeyError if the run did not keep that step: result.json lists them under kept_steps.
    """
    saved = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    rows = saved["counts"] if step is None else dict(saved["earlier"])[step]
    P = probabilities(from_rows(rows), saved["config"]["smoothing"])
    return Bigram(P, Tokenizer(saved["chars"]))


def main():
    config = common.parse_flags(Config, __doc__)
    splits = load_splits(config.data)
    common.prepare_out(config.out)
    docs = sum(splits.values(), [])
    tokenizer = Tokenizer(docs)
    V = tokenizer.vocab_size
    print(f"vocab size: {V}\nnum docs: {len(docs):,}\nnum params: {V * V:,} counts")

    whole_file = unsmoothed_loss(docs, tokenizer)
    counts, log = train(config, splits["train"], splits["val"], tokenizer)
    P = probabilities(counts, config.smoothing)
    letters = letter_frequencies(counts, config.smoothing)
    data = {name: pairs(split, tokenizer) for name, split in splits.items()}
    loss = {name: evaluate(P, *data[name]) for name in common.unless_stopped("train", "test")}
    loss["val"] = log.val
    baselines = {
        "uniform": {name: math.log(V) for name in SPLITS},
        "letter frequencies": {name: evaluate(letters, *data[name]) for name in SPLITS},
    }
    print(f"letter frequencies alone: val {baselines['letter frequencies']['val']:.4f}")
    print(f"all {len(docs):,} names counted and scored, no smoothing: {whole_file:.5f}")

    random.seed(config.seed)
    samples = [sample(Bigram(P, tokenizer)) for _ in range(20)]
    print("samples:", mark_known(samples[:10], splits))
    saved = {
        "config": common.settings(config),
        "chars": tokenizer.chars,
        "counts": to_rows(counts),
        "earlier": [[step, to_rows(earlier)] for step, earlier in log.kept],
    }
    common.save_run(
        config, log, "the next character depends on the one before",
        {"model.json": json.dumps(saved)}, **count_docs(splits), vocab_size=V, params=V * V,
        chars_seen=int(counts.sum()), loss=loss, samples=samples,
        baselines=baselines, whole_file_unsmoothed=whole_file,
    )  # fmt: skip


if __name__ == "__main__":
    common.run(main)
