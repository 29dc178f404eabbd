"""From stage 05's model to stage 06's in single changes: which of them matters?

The first row is stage 05's model (the same weights give the same logits), trained on one excerpt
per step, as stage 05 trains on one name per step. Each row below it changes one more thing, until
the last row has main.py's recipe at stage 05's size. Only the size then still differs from main.py.
All rows run for the same number of steps.

The names are split by hash as in stages 02 to 05 and read as one text, in which a line end serves
as BOS. So val has stage 05's targets, but an excerpt may begin within a name. Two things come from
main.py in all rows: AdamW's betas, and a learning rate that falls along a cosine.
Run: python extras/microgpt_to_shakespeare.py
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from stage_code import ROOT, load_stage

import torch.nn.functional as F
from torch import nn

from ablate_shakespeare import NEVER, STAGE, RMSNorm, encode, make_model, train, unchanged
from compare_runs import compare, describe, print_list, report, run_all

common = load_stage(STAGE, "common")
stage = load_stage(STAGE)
devices = load_stage(STAGE, "devices")
names = load_stage("05_microgpt", "names")
names_common = load_stage("05_microgpt", "common")

START = {**stage.PRESETS["microgpt"], "batch_size": 1}


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = common.flag(
        ROOT / "data/tinyshakespeare.txt",
        "the last row's text, or a folder with train.txt and val.txt",
    )
    names: Path = common.flag(
        ROOT / "data/names.txt", "the other rows' names, or a folder with train, val and test.txt"
    )
    seeds: int = common.flag(3, "runs of each row", 1, 1000)
    seed: int = common.flag(1337, "the first seed; the others follow it", 0, 2**31)
    steps: int = common.flag(2000, "updates of the weights in each run", 0, 10**7)
    again: bool = common.flag(False, "also repeat the finished runs")
    list: bool = common.flag(False, "print the rows and do nothing else")
    device: str = common.flag(
        "auto", "auto, cpu, cuda or mps", choices=["auto", "cpu", "cuda", "mps"]
    )
    out: Path = common.flag(common.OUT / "bridge", "folder for table.json and a JSON file per run")


# ---- data ------------------------------------------------------------------------------------
def load_names(path):
    """The names as two running texts {"train", "val"}: a line end before, between and after them.

    The targets of val are those of stages 02 to 05: every character and the end of each name.
    Raises BadInput as stage 05 does.
    """
    try:
        splits = names.load_splits(path)
    except names.BadInput as error:  # stage 05's BadInput, which common.run() does not know
        raise common.BadInput(str(error).replace("--data", "--names")) from error
    common.read_hashes.update(names_common.read_hashes)  # describe() looks there
    return {name: "\n" + "\n".join(splits[name]) + "\n" for name in ("train", "val")}


# ---- model -----------------------------------------------------------------------------------
def plain_rmsnorm(n_embd):
    """Without a learned scale, as in stage 05."""
    return RMSNorm(n_embd, learned=False)


def no_biases(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.bias = None


def one_spread(model):
    """Stage 05 draws every matrix with a standard deviation of 0.08."""
    for p in model.parameters():
        if p.dim() == 2:
            nn.init.normal_(p, std=0.08)


@dataclass(frozen=True)
class Step:
    what: str  # one line
    # What stage 05 has here. The rows before this one have it, too.
    parts: dict = field(default_factory=dict)  # arguments of GPT
    change: Callable = unchanged  # of the weights of a new GPT
    # What main.py has here.
    fields: tuple = ()  # of main.py's Config: from this row on, they have their defaults
    aside: dict = field(default_factory=dict)  # fields of main.py's Config in this row only


CHAIN = {
    "microgpt": Step("stage 05's model"),
    "layernorm": Step(
        "LayerNorm, with scale and shift, for RMSNorm without", parts={"norm": plain_rmsnorm}
    ),
    "last-norm": Step(
        "the norm behind the embeddings moves before lm_head", parts={"norm_embeddings": True}
    ),
    "gelu": Step("GELU for ReLU", parts={"activation": F.relu}),
    "biases": Step("biases in every Linear", change=no_biases),
    "init": Step("first weights of 0.02, less at a branch's end, for 0.08", change=one_spread),
    "dropout": Step("aside: dropout of 0.1, in this row only", aside={"dropout": 0.1}),
    "rate": Step("the learning rate of main.py", fields=("learning_rate",)),
    "adamw": Step("AdamW for Adam: weight decay", fields=("weight_decay",)),
    "warmup": Step("a warm-up", fields=("warmup",)),
    "clip": Step("gradients clipped", fields=("clip",)),
    "muon": Step("Muon for the matrices in the block", fields=("muon_learning_rate",)),
    "batches": Step("batches for single excerpts", fields=("batch_size",)),
    "corpus": Step("Tiny Shakespeare for names", fields=("data",)),
}


@dataclass(frozen=True)
class Row:
    config: dict  # fields of main.py's Config
    to_come: list  # the Steps below this row, for which it still has what stage 05 has
    reference: str | None  # the row it is compared with

    def new_model(self, config, vocab_size):
        """A new GPT of this row. config: main.py's."""
        parts = {}
        for step in self.to_come:
            parts.update(step.parts)
        changes = [step.change for step in self.to_come]
        return make_model(config, vocab_size, parts, changes)


def plan():
    """The Row for each entry of CHAIN.

    After an aside, the chain continues from the row before it. Losses on different texts cannot
    be compared, so the corpus row has no reference.
    """
    rows, entries, before = {}, list(CHAIN), None
    for i, entry in enumerate(entries):
        step = CHAIN[entry]
        reached = {field for name in entries[: i + 1] for field in CHAIN[name].fields}
        fields = {name: value for name, value in START.items() if name not in reached}
        to_come = [CHAIN[name] for name in entries[i + 1 :]]
        reference = None if "data" in step.fields else before
        rows[entry] = Row({**fields, **step.aside}, to_come, reference)
        if not step.aside:
            before = entry
    return rows


# ---- main ------------------------------------------------------------------------------------
def main():
    config = common.parse_flags(Config, __doc__, tries=False)
    if config.list:
        print_list(CHAIN)
        return
    device = devices.pick_device(config.device)
    texts = {
        config.names: load_names(config.names),
        config.data: stage.load_text(config.data, START["block_size"]),
    }
    common.prepare_out(config.out)
    encoded = {path: encode(splits, device) for path, splits in texts.items()}

    rows, configs = plan(), {}
    shared = {"steps": config.steps, "device": device, "eval_every": NEVER}
    for entry, row in rows.items():
        path = config.names if "data" in row.config else config.data
        for seed in range(config.seed, config.seed + config.seeds):
            fields = {**row.config, **shared, "data": path, "seed": seed}
            configs[entry, seed] = stage.Config(**fields)
    jobs = {job: describe(STAGE, CHAIN[job[0]].what, configs[job]) for job in configs}

    def train_job(entry, seed):
        own = configs[entry, seed]
        data, vocab_size = encoded[own.data]
        return train(own, rows[entry].new_model(own, vocab_size), data)

    run_all(STAGE, jobs, config.out, train_job, config.again)
    table = compare(jobs, config.out, {entry: row.reference for entry, row in rows.items()})
    report(STAGE, table, config.out, "From stage 05's model to stage 06's", "the row before")
    print("corpus: another text, so its loss does not compare with those above it")


if __name__ == "__main__":
    common.run(main)
