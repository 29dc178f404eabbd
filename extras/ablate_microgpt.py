"""What is each part of stage 05's model worth? Swap one, train as before, compare.

Each entry of ABLATIONS swaps one part of the model in torch_twin.py. All entries are trained with
the same seeds, on the same batches, for the same number of steps.
Run: python extras/ablate_microgpt.py --list
     python extras/ablate_microgpt.py --only layernorm,no-residuals
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from stage_code import ROOT, load_stage

import torch
import torch.nn.functional as F

from compare_runs import by_difference, choose, compare, describe, print_list, report, run_all

STAGE = "05_microgpt"
common = load_stage(STAGE, "common")
names = load_stage(STAGE, "names")
twin = load_stage(STAGE, "torch_twin")


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = common.flag(
        ROOT / "data/names.txt", "one name per line, or a folder with train, val and test.txt"
    )
    only: str = common.flag(
        "", "entries to train in addition to the baseline, separated by commas; empty: all"
    )
    seeds: int = common.flag(3, "runs of each entry", 1, 1000)
    seed: int = common.flag(42, "the first seed; the others follow it", 0, 2**31)
    steps: int = common.flag(1500, "updates of the weights in each run", 0, 10**7)
    again: bool = common.flag(False, "also repeat the finished runs")
    list: bool = common.flag(False, "print the entries and do nothing else")
    out: Path = common.flag(common.OUT / "ablate", "folder for table.json and a JSON file per run")


# ---- model -----------------------------------------------------------------------------------
def layernorm(x):
    """RMSNorm after subtracting the mean; no learned scale or shift, as in rmsnorm."""
    return twin.rmsnorm(x - x.mean(-1, keepdim=True))


def no_norm(x):
    return x


def squared_relu(x):
    return x.relu().square()


def init_without(prefix):
    """Initial weights with 0 in all matrices called prefix..., which stay 0 during training.

    A branch that ends in 0 adds nothing to its input. Position embeddings of 0 say nothing.
    """

    def init_weights(config, vocab_size):
        weights = twin.init_weights(config, vocab_size)  # draws all, as the baseline does
        for name, w in weights.items():
            if name.split(".")[-1].startswith(prefix):
                weights[name] = torch.zeros_like(w, requires_grad=False)
        return weights

    return init_weights


def init_large(config, vocab_size):
    weights = twin.init_weights(config, vocab_size)
    return {name: (10 * w.detach()).requires_grad_() for name, w in weights.items()}


@dataclass(frozen=True)
class Swap:
    what: str  # one line
    config: dict = field(default_factory=dict)  # fields of the twin's Config that it changes
    parts: dict = field(default_factory=dict)  # arguments of the twin's Model that it adds
    init_weights: Callable = twin.init_weights


ABLATIONS = {
    "baseline": Swap("the model as it is: RMSNorm, ReLU, 4 heads"),
    "layernorm": Swap("LayerNorm for RMSNorm", parts={"norm": layernorm}),
    "no-norm": Swap("no RMSNorm", parts={"norm": no_norm}),
    "squared-relu": Swap("ReLU squared for ReLU", parts={"activation": squared_relu}),
    "gelu": Swap("GELU for ReLU", parts={"activation": F.gelu}),
    "no-positions": Swap("no position embeddings", init_weights=init_without("wpe")),
    "no-residuals": Swap("a branch replaces what it read", parts={"residual": False}),
    "no-attention": Swap("no attention", init_weights=init_without("attn_")),
    "no-mlp": Swap("no MLP", init_weights=init_without("mlp_")),
    "1-head": Swap("1 head of 16 numbers", config={"n_head": 1}),
    "2-heads": Swap("2 heads of 8 numbers", config={"n_head": 2}),
    "8-heads": Swap("8 heads of 2 numbers", config={"n_head": 8}),
    "large-init": Swap("first weights ten times as large", init_weights=init_large),
}


def make_model(config, swap, tokenizer):
    """A new model of the twin with one part swapped. config: the twin's."""
    torch.manual_seed(config.seed)
    weights = swap.init_weights(config, tokenizer.vocab_size)
    return twin.Model(config, weights, tokenizer, **swap.parts)


# ---- training --------------------------------------------------------------------------------
def train(model, data):
    """Train as the twin does. data: as for twin.train(). -> what run_all() keeps of a run, the log

    Weights that are always 0 are not counted as parameters.
    """
    log, _ = twin.train(model, data)
    params = sum(w.numel() for w in model.weights.values() if w.requires_grad)
    return {"params": params, "val": log.val, "curve": log.curve}, log


# ---- main ------------------------------------------------------------------------------------
def main():
    config = common.parse_flags(Config, __doc__, tries=False)
    if config.list:
        print_list(ABLATIONS)
        return
    chosen = choose(STAGE, config.only, ABLATIONS)
    splits = names.load_splits(config.data)
    common.prepare_out(config.out)
    tokenizer = names.Tokenizer(sum(splits.values(), []))
    block_size = twin.Config.block_size
    data = {name: twin.pad_docs(docs, tokenizer, block_size) for name, docs in splits.items()}

    configs = {
        (entry, seed): twin.Config(config.data, seed=seed, steps=config.steps, **swap.config)
        for entry, swap in ABLATIONS.items()
        for seed in range(config.seed, config.seed + config.seeds)
    }
    jobs = {job: describe(STAGE, ABLATIONS[job[0]].what, configs[job]) for job in configs}

    def train_job(entry, seed):
        return train(make_model(configs[entry, seed], ABLATIONS[entry], tokenizer), data)

    chosen_jobs = {job: about for job, about in jobs.items() if job[0] in chosen}
    run_all(STAGE, chosen_jobs, config.out, train_job, config.again)
    rows = compare(jobs, config.out, dict.fromkeys(ABLATIONS, "baseline"))
    report(STAGE, by_difference(rows), config.out, f"Ablations of {STAGE}", "baseline")


if __name__ == "__main__":
    common.run(main)
