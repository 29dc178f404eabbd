"""A bigram on running text, where the lecture begins: the row that a GPT has to beat.

Same as main.py: the data, batches, evaluation. Same as stage 03: a table of logits, learned.
Source: "Let's build GPT: from scratch, in code, spelled out", A. Karpathy, 2023; its first recipe.
Run: python 06_shakespeare_gpt/bigram.py
"""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

import plumbing
from main import evaluate, get_batch, letter_frequencies, load_text
from plumbing import ROOT, STAGE


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = ROOT / "data" / "tinyshakespeare.txt"  # a text, or a folder of train and val.txt
    seed: int = 1337  # starts the random numbers of weights, batches and samples
    steps: int = 3000  # updates of the weights
    batch_size: int = 32  # excerpts in one step
    block_size: int = 8  # characters in an excerpt; each is predicted from the one before it alone
    learning_rate: float = 0.01  # of AdamW, the same all the time
    out: Path = ROOT / "out" / STAGE / "bigram"  # folder for result.json and loss.png

    def __post_init__(self):
        plumbing.check_ranges(self, seed=(0, 2**32 - 1), steps=(0, 10**7), learning_rate=(0, 10))
        plumbing.check_ranges(self, batch_size=(1, 10**5), block_size=(1, 10**5))


# ---- model -----------------------------------------------------------------------------------
class Bigram(nn.Module):
    """A row of logits for each character: how likely each other one is to follow."""

    def __init__(self, vocab_size, block_size):
        super().__init__()
        self.block_size = block_size
        self.table = nn.Embedding(vocab_size, vocab_size)

    def forward(self, xb):
        return self.table(xb)  # (B, T) -> (B, T, V)


# ---- training --------------------------------------------------------------------------------
def train(config, model, data):
    """Returns the curve and the finished Progress."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate)
    generator = torch.Generator().manual_seed(config.seed)
    look_every = max(1, config.steps // 10)
    curve, losses = [[0, None, evaluate(model, data["val"])]], []
    for step in (progress := plumbing.Progress(config.steps)):
        xb, yb = get_batch(data["train"], config, generator)

        logits = model(xb)  # (B, T, V)
        loss = F.cross_entropy(logits.flatten(0, 1), yb.flatten())

        optimizer.zero_grad()
        loss.backward()

        optimizer.step()

        losses.append(loss.item())
        if (step + 1) % look_every == 0:
            curve.append([step + 1, sum(losses) / len(losses), evaluate(model, data["val"])])
            losses = []
            print("step {:5d} | batch loss {:.4f} | val loss {:.4f}".format(*curve[-1]), flush=True)
    return curve, progress


# ---- samples ---------------------------------------------------------------------------------
@torch.no_grad()
def sample(model, token, length):
    """The token id and `length` further ones, each drawn given the one before it."""
    tokens = [token]
    for _ in range(length):
        probs = model.table.weight[tokens[-1]].softmax(0)  # (V,)
        tokens.append(torch.multinomial(probs, 1).item())
    return tokens


# ---- main ------------------------------------------------------------------------------------
def main():
    config = plumbing.parse_flags(Config, __doc__)
    if config.data == Config.data:
        plumbing.get_data("tinyshakespeare")
    splits = load_text(config.data, config.block_size)
    plumbing.prepare_out(config.out)
    chars = sorted(set("".join(splits.values())))
    stoi = {ch: i for i, ch in enumerate(chars)}
    V = len(chars)
    data = {name: torch.tensor([stoi[ch] for ch in text]) for name, text in splits.items()}

    torch.manual_seed(config.seed)
    model = Bigram(V, config.block_size)
    params = sum(p.numel() for p in model.parameters())
    print(f"vocab size: {V}\nnum params: {params:,}", flush=True)

    curve, progress = train(config, model, data)
    loss = {name: evaluate(model, text) for name, text in data.items()} | {"test": None}
    text = "".join(chars[token] for token in sample(model, data["train"][0].item(), 500))
    print(f"---- sample ----\n{text.strip()}\n----------------")
    plumbing.save_result(
        config, progress, "a learned table of pairs of characters",
        docs={name: 1 for name in data}, targets={name: len(data[name]) - 1 for name in data},
        vocab_size=V, params=params,
        chars_seen=progress.done * config.batch_size * config.block_size,
        loss=loss, curve=curve, samples=[text], torch=torch, variant="bigram",
        baselines={"letter frequencies": letter_frequencies(data, V)},
    )
    return progress.status


if __name__ == "__main__":
    plumbing.run(main)
