"""The probability of each character of a text but its first, by the weights that main.py kept.

Run: python 06_shakespeare_gpt/score.py "To be, or not to be"
"""

from itertools import takewhile
from types import SimpleNamespace

import torch

import generate
import plumbing
import scoring
from plumbing import STAGE, BadInput


def load(out):
    """The model in the folder out: its GPT with dropout off. Short texts need no GPU."""
    gpt, chars = generate.load(out / "model.pt", "cpu")
    return SimpleNamespace(name=STAGE, chars=chars, gpt=gpt.eval())


@torch.no_grad()
def predict(model, text):
    """Yield (what came, {what could have come: log P}) for each character but the first.

    Each is predicted from the block_size characters before it, or all of them where there are
    fewer. evaluate() reads faster, in stretches that start over: its loss is a little higher.
    """
    if len(text) < 2:
        raise BadInput(f"{text!r} is too short: the first character is not scored; give more")
    tokens = torch.tensor([model.chars.index(ch) for ch in text])  # (N,)
    for i in (progress := plumbing.Progress(len(text) - 1, what="character")):
        xb = tokens[max(0, i + 1 - model.gpt.block_size) : i + 1]  # (T,)
        row = model.gpt(xb[None])[0, -1].log_softmax(dim=0)  # (1, T) -> (V,)
        yield text[i + 1], dict(zip(model.chars, row.tolist()))
    if progress.interrupted:
        raise KeyboardInterrupt


def draw(model, n, temperature, seed):
    """n lines of text as a list, each of at most 100 characters; a blank line is one, too."""
    if "\n" not in model.chars:
        raise BadInput("--sample draws lines, and this model has never seen a line end")
    generator = torch.Generator().manual_seed(seed)
    samples = []
    for _ in range(n):
        new = model.gpt.generate([model.chars.index("\n")], 100, temperature, generator=generator)
        samples.append("".join(takewhile(lambda ch: ch != "\n", (model.chars[t] for t in new))))
    return samples


if __name__ == "__main__":
    plumbing.run(lambda: scoring.main(__doc__, load, predict, draw, whole=True))
