"""What is each part of the model worth? Swap one, train as before, compare.

Each entry of ABLATIONS is one swap in twin.py's model. All are trained with the same seeds, on the
same batches, for the same number of steps.
Run: python 05_microgpt/ablate.py --list
     python 05_microgpt/ablate.py --only layernorm,no-residuals
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import torch
import torch.nn.functional as F

import plumbing
import series
import twin
from main import Tokenizer, load_splits
from plumbing import ROOT, STAGE
from twin import init_weights, rmsnorm


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = ROOT / "data" / "names.txt"  # one name a line, or a folder of train, val, test.txt
    only: str = ""  # entries to train, with commas between; the baseline always is. Empty: all
    seeds: int = 3  # runs of each entry
    seed: int = 42  # the first of the seeds; the others count on from it
    steps: int = 1500  # updates of the weights in each run, of 256 names each
    again: bool = False  # also repeat the runs that are kept
    list: bool = False  # name the entries and do nothing else
    out: Path = ROOT / "out" / STAGE / "ablate"  # folder for a JSON file of each run and table.json

    def __post_init__(self):
        plumbing.check_ranges(self, seeds=(1, 1000), seed=(0, 2**31), steps=(0, 10**7))


# ---- model -----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Swap:
    what: str  # one line
    config: dict = field(default_factory=dict)  # fields of twin.Config that it changes
    functions: dict[str, Callable] = field(default_factory=dict)  # what it puts in twin.py's place


def without(prefix):
    """Weights of which those called prefix... are 0 and stay it. A branch that ends in 0 adds
    nothing to what it read; position embeddings of 0 say nothing.
    """

    def init(config, vocab_size):
        weights = init_weights(config, vocab_size)  # all are drawn: the rest stay the baseline's
        for name, w in weights.items():
            if name.split(".")[-1].startswith(prefix):
                weights[name] = torch.zeros_like(w, requires_grad=False)
        return weights

    return init


def large_init(config, vocab_size):
    weights = init_weights(config, vocab_size)
    return {name: (10 * w.detach()).requires_grad_() for name, w in weights.items()}


def layernorm(x):
    """RMSNorm of what is left without the mean; no learned scale or shift, as in rmsnorm."""
    return rmsnorm(x - x.mean(-1, keepdim=True))


ABLATIONS = {
    "baseline": Swap("the model as it is: RMSNorm, ReLU, 4 heads"),
    "layernorm": Swap("LayerNorm for RMSNorm", functions={"rmsnorm": layernorm}),
    "no-norm": Swap("no RMSNorm", functions={"rmsnorm": lambda x: x}),
    "squared-relu": Swap("ReLU squared for ReLU", functions={"relu": lambda x: x.relu().square()}),
    "gelu": Swap("GELU for ReLU", functions={"relu": F.gelu}),
    "no-positions": Swap("no position embeddings", functions={"init_weights": without("wpe")}),
    "no-residuals": Swap(
        "a branch replaces what it read", functions={"add": lambda branch, residual: branch}
    ),
    "no-attention": Swap("no attention", functions={"init_weights": without("attn_")}),
    "no-mlp": Swap("no MLP", functions={"init_weights": without("mlp_")}),
    "1-head": Swap("1 head of 16 numbers", {"n_head": 1}),
    "2-heads": Swap("2 heads of 8 numbers", {"n_head": 2}),
    "8-heads": Swap("8 heads of 2 numbers", {"n_head": 8}),
    "large-init": Swap("first weights ten times as large", functions={"init_weights": large_init}),
}


# ---- training --------------------------------------------------------------------------------
def train(config, swap, data, vocab_size):
    """Train the twin with one part swapped. data: as for twin.train. -> measured, Progress"""
    with mock.patch.dict(vars(twin), swap.functions):  # twin.py looks them up by these names
        torch.manual_seed(config.seed)
        weights = twin.init_weights(config, vocab_size)
        curve, _, progress = twin.train(config, weights, data)
        val = twin.evaluate(config, weights, *data["val"])
    params = sum(w.numel() for w in weights.values() if w.requires_grad)
    return {"params": params, "val": val, "curve": curve}, progress


# ---- main ------------------------------------------------------------------------------------
def main():
    config = plumbing.parse_flags(Config, __doc__)
    if config.list:
        return series.print_list(ABLATIONS)
    names = series.choose(config.only, ABLATIONS)
    splits = load_splits(config.data)
    plumbing.prepare_out(config.out)
    tokenizer = Tokenizer([doc for split in splits.values() for doc in split])
    block_size = twin.Config.block_size
    data = {name: twin.rectangle(docs, tokenizer, block_size) for name, docs in splits.items()}

    configs = {
        (name, seed): twin.Config(config.data, seed=seed, steps=config.steps, **swap.config)
        for name, swap in ABLATIONS.items()
        for seed in range(config.seed, config.seed + config.seeds)
    }
    jobs = {job: series.describe(ABLATIONS[job[0]].what, c) for job, c in configs.items()}

    def train_job(name, seed):
        return train(configs[name, seed], ABLATIONS[name], data, tokenizer.vocab_size)

    chosen = {job: about for job, about in jobs.items() if job[0] in names}
    interrupted = series.run_all(chosen, config.out, train_job, config.again)
    rows = series.compare(jobs, config.out, dict.fromkeys(ABLATIONS, "baseline"))
    series.report(series.by_difference(rows), config.out, f"Ablations of {STAGE}", "baseline")
    return 130 if interrupted else 0


if __name__ == "__main__":
    plumbing.run(main)
