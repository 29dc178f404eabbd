"""A bigram on running text, with which the lecture begins: a GPT has to beat its loss.

Same as stage 06: the data, batches, evaluation. Same as stage 03: a table of logits, learned.
Source: "Let's build GPT: from scratch, in code, spelled out", A. Karpathy, 2023; its first recipe.
Run: python extras/shakespeare_bigram.py
"""

from dataclasses import dataclass
from pathlib import Path

from stage_code import ROOT, load_stage

import torch
import torch.nn.functional as F
from torch import nn

common = load_stage("06_shakespeare_gpt", "common")
stage = load_stage("06_shakespeare_gpt")
draw = load_stage("06_shakespeare_gpt", "model").draw


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = common.flag(
        ROOT / "data/tinyshakespeare.txt", "a text file, or a folder with train.txt and val.txt"
    )
    seed: int = common.flag(1337, "seeds the random weights, batches and samples", 0, 2**32 - 1)
    steps: int = common.flag(3000, "updates of the weights", 0, 10**7)
    batch_size: int = common.flag(32, "excerpts in one step", 1, 10**5)
    block_size: int = common.flag(8, "characters in an excerpt; the model sees one", 1, 10**5)
    learning_rate: float = common.flag(0.01, "of AdamW, constant", 0, 10)
    resume: bool = common.flag(False, "go on with the training of a run that did not end")
    out: Path = common.flag(common.OUT / "bigram", "folder for result.json and model.pt")


# ---- model -----------------------------------------------------------------------------------
class Bigram(nn.Module):
    """A row of logits for each character: how likely each character is to follow it."""

    def __init__(self, config, tokenizer):
        super().__init__()
        self.block_size, self.tokenizer = config.block_size, tokenizer
        self.table = nn.Embedding(tokenizer.vocab_size, tokenizer.vocab_size)

    def forward(self, xb):
        return self.table(xb)  # (B, T) -> (B, T, V)


# ---- training --------------------------------------------------------------------------------
def train(config, model, data):
    """AdamW on stage 06's batches. Returns the log."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate)
    log = common.Log(
        config.steps,
        val_loss=lambda: stage.evaluate(model, data["val"]),
        state=[model, optimizer],
    )
    for step in log:
        xb, yb = stage.get_batch(data["train"], config, step)

        logits = model(xb)  # (B, T) -> (B, T, V)
        loss = F.cross_entropy(logits.flatten(0, 1), yb.flatten())

        optimizer.zero_grad()
        loss.backward()

        optimizer.step()

        log.add(loss.item())
    return log


# ---- evaluation ------------------------------------------------------------------------------
@torch.no_grad()
def log_probs(model, text):
    """log P of what could follow each character. -> list[N] of list[V]"""
    tokens = torch.tensor(model.tokenizer.encode(text))  # (N,)
    return model(tokens).log_softmax(dim=1).tolist()


# ---- samples ---------------------------------------------------------------------------------
@torch.no_grad()
def sample(model, prompt="\n", length=500, temperature=0.8, top_k=None):
    """The prompt and `length` more characters, each drawn given the one before it."""
    tokens = model.tokenizer.encode(prompt)
    for _ in range(length):
        tokens.append(draw(model.table.weight[tokens[-1]], temperature, top_k))
    return model.tokenizer.decode(tokens)


# ---- main ------------------------------------------------------------------------------------
def load(folder):
    """The trained model that main() wrote."""
    saved = torch.load(folder / "model.pt", weights_only=True)
    model = Bigram(Config(**saved["config"]), stage.Tokenizer(saved["chars"]))
    model.load_state_dict(saved["weights"])
    return model


def main():
    config = common.parse_flags(Config, __doc__)
    splits = stage.load_text(config.data, config.block_size)
    common.begin_run(config)
    tokenizer = stage.Tokenizer("".join(splits.values()))
    V = tokenizer.vocab_size
    data = {name: torch.tensor(tokenizer.encode(text)) for name, text in splits.items()}
    torch.manual_seed(config.seed)
    model = Bigram(config, tokenizer)
    params = sum(p.numel() for p in model.parameters())
    print(f"vocab size: {V}\nnum params: {params:,}", flush=True)

    log = train(config, model, data)
    loss = {"train": stage.evaluate(model, data["train"]), "val": log.val}
    text = sample(model, splits["train"][0], temperature=1.0)
    shown = common.visible(text.strip(), "\n\t")
    print("---- sample ----", shown, "----------------", sep="\n")
    saved = {
        "config": common.settings(config),
        "chars": tokenizer.chars,
        "weights": model.state_dict(),
    }
    common.save_run(
        config, log, "a learned table of pairs of characters", {"model.pt": saved},
        docs={name: 1 for name in data}, targets={name: len(data[name]) - 1 for name in data},
        vocab_size=V, params=params,
        chars_seen=log.done * config.batch_size * config.block_size,
        loss=loss, samples=[text], variant="bigram",
        baselines={"letter frequencies": stage.letter_frequencies(data, V)},
    )  # fmt: skip


if __name__ == "__main__":
    common.run(main)
