"""The probability of each character of a name and of its end, by the weights that main.py kept.

Run: python 03_bigram_learned/score.py emma olivia
"""

from types import SimpleNamespace

import torch

import plumbing
import scoring
from main import Tokenizer, forward, log_softmax, sample
from plumbing import STAGE


def load(out):
    """The model in the folder out: its W and its tokenizer."""
    checkpoint = torch.load(out / "model.pt", weights_only=True)
    chars, W = checkpoint["chars"], checkpoint["W"]
    return SimpleNamespace(name=STAGE, chars=chars, tokenizer=Tokenizer(chars), W=W)


def predict(model, text):
    """Yield (what came, {what could have come: log P}) for each character and the end."""
    tokens = model.tokenizer.encode(text)
    symbols = [*model.chars, scoring.END]
    rows = log_softmax(forward(model.W, torch.tensor(tokens[:-1])))  # (N, V)
    for token, row in zip(tokens[1:], rows.tolist()):
        yield symbols[token], dict(zip(symbols, row))


def draw(model, n, temperature, seed):
    """n samples as a list. Logits are rows of W, so W over the temperature divides them."""
    torch.manual_seed(seed)
    return [sample(model.W / temperature, model.tokenizer) for _ in range(n)]


if __name__ == "__main__":
    plumbing.run(lambda: scoring.main(__doc__, load, predict, draw))
