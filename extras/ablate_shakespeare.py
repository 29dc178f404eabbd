"""What is each part of stage 06's model worth? Swap one, train as before, compare.

Each entry of ABLATIONS swaps one part of model.py's GPT, changes its first weights or its blocks,
or changes a field of main.py's Config. All entries are trained with the same seeds, on the same
batches, for the same number of steps. The model is main.py's, but smaller (SMALL), so that a run
takes seconds.
Run: python extras/ablate_shakespeare.py --list
     python extras/ablate_shakespeare.py --only rmsnorm,no-residuals
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from stage_code import ROOT, load_stage

import torch
import torch.nn.functional as F
from torch import nn

from compare_runs import by_difference, choose, compare, describe, print_list, report, run_all

STAGE = "06_shakespeare_gpt"
common = load_stage(STAGE, "common")
stage = load_stage(STAGE)
GPT = load_stage(STAGE, "model").GPT
devices = load_stage(STAGE, "devices")

NEVER = 10**7  # for eval_every: the val loss is measured only before and after the training
SMALL = dict(
    batch_size=32, block_size=64, n_embd=96, n_head=4, n_layer=3, dropout=0.0, eval_every=NEVER
)


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = common.flag(
        ROOT / "data/tinyshakespeare.txt", "a text file, or a folder with train.txt and val.txt"
    )
    only: str = common.flag(
        "", "entries to train in addition to the baseline, separated by commas; empty: all"
    )
    seeds: int = common.flag(3, "runs of each entry", 1, 1000)
    seed: int = common.flag(1337, "the first seed; the others follow it", 0, 2**31)
    steps: int = common.flag(450, "updates of the weights in each run", 0, 10**7)
    again: bool = common.flag(False, "also repeat the finished runs")
    list: bool = common.flag(False, "print the entries and do nothing else")
    device: str = common.flag(
        "auto", "auto, cpu, cuda or mps", choices=["auto", "cpu", "cuda", "mps"]
    )
    out: Path = common.flag(common.OUT / "ablate", "folder for table.json and a JSON file per run")


# ---- data ------------------------------------------------------------------------------------
def encode(splits, device):
    """The texts {"train", "val"} as tensors of token ids, and the number of characters."""
    tokenizer = stage.Tokenizer("".join(splits.values()))
    data = {k: torch.tensor(tokenizer.encode(text)).to(device) for k, text in splits.items()}
    return data, tokenizer.vocab_size


# ---- model -----------------------------------------------------------------------------------
class RMSNorm(nn.Module):
    """Scale x to a mean square of 1, and each number by what it learns: nn.RMSNorm of PyTorch 2.4.

    (..., C) -> (..., C)
    """

    def __init__(self, n_embd, learned=True):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n_embd)) if learned else 1.0  # (C,)

    def forward(self, x):
        return x * (x.pow(2).mean(dim=-1, keepdim=True) + 1e-5).rsqrt() * self.weight


def no_norm(n_embd):
    return nn.Identity()


def squared_relu(x):
    return x.relu().square()


def unchanged(model):
    """Leave the new model as it is."""


def without(*modules):
    """Set the parameters of these modules to 0, which they keep during training.

    A branch that ends in 0 adds nothing to its input. Position embeddings of 0 say nothing.
    """

    def change(model):
        for name, p in model.named_parameters():  # such as blocks.0.attn.attn_wq.weight
            if any(module in name.split(".") for module in modules):
                nn.init.zeros_(p)
                p.requires_grad_(False)

    return change


def no_residuals(model):
    """Let each branch replace what it read, instead of adding to it."""

    def forward(block, x, cache=None, attentions=None):
        x = block.dropout(block.attn(block.ln_1(x), cache, attentions))
        h = block.activation(block.mlp_fc1(block.ln_2(x)))
        return block.dropout(block.mlp_fc2(h))

    for block in model.blocks:
        block.forward = partial(forward, block)


@torch.no_grad()
def large_init(model):
    for p in model.parameters():
        if p.dim() == 2:
            p.mul_(10)


@dataclass(frozen=True)
class Swap:
    what: str  # one line
    config: dict = field(default_factory=dict)  # fields of main.py's Config that it changes
    parts: dict = field(default_factory=dict)  # arguments of GPT that it adds
    change: Callable = unchanged  # what it does to a new GPT


ABLATIONS = {
    "baseline": Swap("the model as it is: LayerNorm, GELU, 4 heads, no dropout"),
    "rmsnorm": Swap("RMSNorm for LayerNorm", parts={"norm": RMSNorm}),
    "no-norm": Swap("no LayerNorm", parts={"norm": no_norm}),
    "relu": Swap("ReLU for GELU", parts={"activation": F.relu}),
    "squared-relu": Swap("ReLU squared for GELU", parts={"activation": squared_relu}),
    "no-positions": Swap("no position embeddings", change=without("wpe")),
    "no-residuals": Swap("a branch replaces what it read", change=no_residuals),
    "no-attention": Swap("no attention", change=without("ln_1", "attn")),
    "no-mlp": Swap("no MLP", change=without("ln_2", "mlp_fc1", "mlp_fc2")),
    "1-head": Swap("1 head of 96 numbers", config={"n_head": 1}),
    "2-heads": Swap("2 heads of 48 numbers", config={"n_head": 2}),
    "8-heads": Swap("8 heads of 12 numbers", config={"n_head": 8}),
    "dropout-0.1": Swap("a tenth of the activations dropped", config={"dropout": 0.1}),
    "dropout-0.2": Swap("a fifth of the activations dropped", config={"dropout": 0.2}),
    "large-init": Swap("first matrices ten times as large", change=large_init),
}


def make_model(config, vocab_size, parts, changes):
    """A new GPT. config: main.py's. parts: arguments of GPT other than its sizes.

    changes: functions that change the new GPT, in this order.
    """
    torch.manual_seed(config.seed)
    sizes = ("block_size", "n_embd", "n_head", "n_layer", "dropout")
    model = GPT(vocab_size, **{name: getattr(config, name) for name in sizes}, **parts)
    for change in changes:
        change(model)
    return model


# ---- training --------------------------------------------------------------------------------
def train(config, model, data):
    """Train as main.py does. data: as for main.train(). -> what run_all() keeps of a run, the log

    Weights that are always 0 are not counted as parameters.
    """
    dtype = devices.pick_dtype(config.dtype, config.device)
    log, _ = stage.train(config, model.to(config.device), data, config.device, dtype)
    params = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return {"params": params, "val": log.val, "curve": log.curve}, log


# ---- main ------------------------------------------------------------------------------------
def main():
    config = common.parse_flags(Config, __doc__, tries=False)
    if config.list:
        print_list(ABLATIONS)
        return
    chosen = choose(STAGE, config.only, ABLATIONS)
    device = devices.pick_device(config.device)
    splits = stage.load_text(config.data, SMALL["block_size"])
    common.prepare_out(config.out)
    data, vocab_size = encode(splits, device)

    shared = {"data": config.data, "steps": config.steps, "device": device, **SMALL}
    configs = {
        (entry, seed): stage.Config(**{**shared, **swap.config}, seed=seed)
        for entry, swap in ABLATIONS.items()
        for seed in range(config.seed, config.seed + config.seeds)
    }
    jobs = {job: describe(STAGE, ABLATIONS[job[0]].what, configs[job]) for job in configs}

    def train_job(entry, seed):
        own, swap = configs[entry, seed], ABLATIONS[entry]
        return train(own, make_model(own, vocab_size, swap.parts, [swap.change]), data)

    chosen_jobs = {job: about for job, about in jobs.items() if job[0] in chosen}
    run_all(STAGE, chosen_jobs, config.out, train_job, config.again)
    rows = compare(jobs, config.out, dict.fromkeys(ABLATIONS, "baseline"))
    report(STAGE, by_difference(rows), config.out, f"Ablations of {STAGE}", "baseline")


if __name__ == "__main__":
    common.run(main)
