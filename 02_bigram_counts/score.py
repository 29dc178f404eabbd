"""The probability of each character of a name and of its end, by the counts that main.py kept.

Run: python 02_bigram_counts/score.py emma olivia
"""

import json
from types import SimpleNamespace

import numpy as np

import plumbing
import scoring
from main import Tokenizer, probabilities, sample
from plumbing import STAGE


def load(out):
    """The model in the folder out: its P(next | current) and its tokenizer."""
    table = json.loads((out / "counts.json").read_text(encoding="utf-8"))
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    P = probabilities(np.array(table["counts"]), result["config"]["smoothing"])  # (V, V)
    chars = table["chars"]
    return SimpleNamespace(name=STAGE, chars=chars, tokenizer=Tokenizer(chars), P=P)


def predict(model, text):
    """Yield (what came, {what could have come: log P}) for each character and the end."""
    tokens = model.tokenizer.encode(text)
    symbols = [*model.chars, scoring.END]
    with np.errstate(divide="ignore"):  # a pair never seen, without smoothing: log 0 is -inf
        rows = np.log(model.P[tokens[:-1]]).tolist()  # list[N] of list[V]
    for token, row in zip(tokens[1:], rows):
        yield symbols[token], dict(zip(symbols, row))


def draw(model, n, temperature, seed):
    """n samples as a list. P ** (1 / T) over its sum is the softmax of log P / T."""
    # Over the row's highest first, so that at a low temperature not all of it becomes 0.
    highest = np.maximum(model.P.max(axis=1, keepdims=True), 1e-300)  # (V, 1)
    P = probabilities((model.P / highest) ** (1 / temperature), smoothing=0)  # (V, V)
    rng = np.random.default_rng(seed)
    return [sample(P, model.tokenizer, rng) for _ in range(n)]


if __name__ == "__main__":
    plumbing.run(lambda: scoring.main(__doc__, load, predict, draw))
