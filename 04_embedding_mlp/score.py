"""The probability of each character of a name and of its end, by the weights that main.py kept.

Run: python 04_embedding_mlp/score.py emma olivia
"""

from types import SimpleNamespace

import torch

import plumbing
import scoring
from main import MLP, Config, Tokenizer, contexts, sample
from plumbing import STAGE


def load(out):
    """The model in the folder out: its MLP, its block_size and its tokenizer."""
    checkpoint = torch.load(out / "model.pt", weights_only=True)
    chars, weights = checkpoint["chars"], checkpoint["weights"]
    block_size = len(weights["mlp_fc1"]) // weights["wte"].shape[1]  # (T * C, H), (V, C)
    mlp = MLP(Config(n_hidden=1), len(chars) + 1)
    vars(mlp).update(weights)  # of whatever sizes that run had
    tokenizer = Tokenizer(chars)
    return SimpleNamespace(
        name=STAGE, chars=chars, tokenizer=tokenizer, mlp=mlp, block_size=block_size
    )


@torch.no_grad()
def predict(model, text):
    """Yield (what came, {what could have come: log P}) for each character and the end."""
    xs, ys = contexts([text], model.tokenizer, model.block_size)  # (N, T), (N,)
    symbols = [*model.chars, scoring.END]
    rows = model.mlp(xs).log_softmax(dim=1)  # (N, V)
    for token, row in zip(ys.tolist(), rows.tolist()):
        yield symbols[token], dict(zip(symbols, row))


def draw(model, n, temperature, seed):
    """n samples as a list, from logits divided by the temperature."""
    torch.manual_seed(seed)
    return [
        sample(lambda xb: model.mlp(xb) / temperature, model.tokenizer, model.block_size)
        for _ in range(n)
    ]


if __name__ == "__main__":
    plumbing.run(lambda: scoring.main(__doc__, load, predict, draw))
