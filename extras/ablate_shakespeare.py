"""What is each part of the model worth? Swap one, train as before, compare.

Each entry of ABLATIONS is one swap in model.py's GPT or one changed field of main.py's Config. All
are trained with the same seeds, on the same batches, for the same number of steps. The model is
main.py's, but smaller (SMALL), so that a run takes seconds.
Run: python 06_shakespeare_gpt/ablate.py --list
     python 06_shakespeare_gpt/ablate.py --only rmsnorm,no-residuals
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

import main as stage
import plumbing
import series
from devices import pick_device, pick_dtype
from model import GPT, Block
from plumbing import ROOT, STAGE

SMALL = dict(
    batch_size=32, block_size=64, n_embd=96, n_head=4, n_layer=3, dropout=0.0,
    eval_every=10**7,  # never on the way
)  # fmt: skip


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = ROOT / "data" / "tinyshakespeare.txt"  # a text, or a folder of train and val.txt
    only: str = ""  # entries to train, with commas between; the baseline always is. Empty: all
    seeds: int = 3  # runs of each entry
    seed: int = 1337  # the first of the seeds; the others count on from it
    steps: int = 450  # updates of the weights in each run, of 32 excerpts of 64 characters each
    again: bool = False  # also repeat the runs that are kept
    list: bool = False  # name the entries and do nothing else
    device: str = "auto"  # auto, cpu, cuda or mps
    out: Path = ROOT / "out" / STAGE / "ablate"  # folder for a JSON file of each run and table.json

    def __post_init__(self):
        plumbing.check_ranges(self, seeds=(1, 1000), seed=(0, 2**31), steps=(0, 10**7))


# ---- data ------------------------------------------------------------------------------------
def encode(splits, device):
    """The texts {"train", "val"} as tensors of token ids, and how many characters there are."""
    chars = sorted(set("".join(splits.values())))
    stoi = {ch: i for i, ch in enumerate(chars)}
    data = {k: torch.tensor([stoi[c] for c in text]).to(device) for k, text in splits.items()}
    return data, len(chars)


# ---- model -----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Swap:
    what: str  # one line
    config: dict = field(default_factory=dict)  # fields of main.py's Config that it changes
    change: Callable = lambda model: None  # what it does to a new GPT


def norms(make):
    """Each LayerNorm becomes make(n_embd)."""

    def change(model):
        for block in model.blocks:
            block.ln_1 = make(block.ln_1.normalized_shape[0])
            block.ln_2 = make(block.ln_2.normalized_shape[0])
        model.ln_f = make(model.ln_f.normalized_shape[0])

    return change


def activation(function):
    """The MLPs take this function between their two matrices."""

    def change(model):
        for block in model.blocks:
            block.activation = function

    return change


def no_positions(model):
    """Position embeddings that are 0 and stay it say nothing."""
    nn.init.zeros_(model.wpe.weight)
    model.wpe.weight.requires_grad_(False)


class BlockWithoutResiduals(Block):
    """A Block in which each branch replaces what it read."""

    def forward(self, x, cache=None):
        x = self.dropout(self.attn(self.ln_1(x), cache))
        return self.dropout(self.mlp_fc2(self.activation(self.mlp_fc1(self.ln_2(x)))))


def no_residuals(model):
    for block in model.blocks:
        block.__class__ = BlockWithoutResiduals  # the same weights, another forward


class Nothing(nn.Module):
    """The end of a branch that adds 0 to what it read."""

    def forward(self, x, cache=None):
        return torch.zeros_like(x)


def no_attention(model):
    for block in model.blocks:
        block.ln_1, block.attn = nn.Identity(), Nothing()


def no_mlp(model):
    for block in model.blocks:
        block.ln_2, block.mlp_fc1, block.mlp_fc2 = nn.Identity(), nn.Identity(), Nothing()


@torch.no_grad()
def large_init(model):
    for p in model.parameters():
        if p.dim() == 2:
            p.mul_(10)


ABLATIONS = {
    "baseline": Swap("the model as it is: LayerNorm, GELU, 4 heads, no dropout"),
    "rmsnorm": Swap("RMSNorm for LayerNorm", change=norms(lambda C: nn.RMSNorm(C, eps=1e-5))),
    "no-norm": Swap("no LayerNorm", change=norms(lambda C: nn.Identity())),
    "relu": Swap("ReLU for GELU", change=activation(F.relu)),
    "squared-relu": Swap("ReLU squared for GELU", change=activation(lambda x: x.relu().square())),
    "no-positions": Swap("no position embeddings", change=no_positions),
    "no-residuals": Swap("a branch replaces what it read", change=no_residuals),
    "no-attention": Swap("no attention", change=no_attention),
    "no-mlp": Swap("no MLP", change=no_mlp),
    "1-head": Swap("1 head of 96 numbers", {"n_head": 1}),
    "2-heads": Swap("2 heads of 48 numbers", {"n_head": 2}),
    "8-heads": Swap("8 heads of 12 numbers", {"n_head": 8}),
    "dropout-0.1": Swap("a tenth of the activations dropped", {"dropout": 0.1}),
    "dropout-0.2": Swap("a fifth of the activations dropped", {"dropout": 0.2}),
    "large-init": Swap("first matrices ten times as large", change=large_init),
}


# ---- training --------------------------------------------------------------------------------
def make_model(config, vocab_size, changes):
    """A new GPT of the Config's sizes to which the changes have been made, one after the other."""
    torch.manual_seed(config.seed)
    sizes = ("block_size", "n_embd", "n_head", "n_layer", "dropout")
    model = GPT(vocab_size, **{name: getattr(config, name) for name in sizes})
    for change in changes:
        change(model)
    return model


def train(config, changes, data, vocab_size):
    """Train a changed GPT. config: main.py's; data: as for main.train. -> measured, Progress"""
    model = make_model(config, vocab_size, changes).to(config.device)
    dtype = pick_dtype(config.dtype, config.device)
    curve, progress = stage.train(config, model, data, config.device, dtype, lambda *best: None)
    params = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return {"params": params, "val": curve[-1][2], "curve": curve}, progress


# ---- main ------------------------------------------------------------------------------------
def main():
    config = plumbing.parse_flags(Config, __doc__)
    if config.list:
        return series.print_list(ABLATIONS)
    names = series.choose(config.only, ABLATIONS)
    device = pick_device(config.device)
    if config.data == Config.data:
        plumbing.get_data("tinyshakespeare")
    splits = stage.load_text(config.data, SMALL["block_size"])
    plumbing.prepare_out(config.out)
    data, vocab_size = encode(splits, device)

    shared = {"data": config.data, "steps": config.steps, "device": device, **SMALL}
    configs = {
        (name, seed): stage.Config(**{**shared, "seed": seed, **swap.config})
        for name, swap in ABLATIONS.items()
        for seed in range(config.seed, config.seed + config.seeds)
    }
    jobs = {job: series.describe(ABLATIONS[job[0]].what, c) for job, c in configs.items()}

    def train_job(name, seed):
        return train(configs[name, seed], [ABLATIONS[name].change], data, vocab_size)

    chosen = {job: about for job, about in jobs.items() if job[0] in names}
    interrupted = series.run_all(chosen, config.out, train_job, config.again)
    rows = series.compare(jobs, config.out, dict.fromkeys(ABLATIONS, "baseline"))
    series.report(series.by_difference(rows), config.out, f"Ablations of {STAGE}", "baseline")
    return 130 if interrupted else 0


if __name__ == "__main__":
    plumbing.run(main)
