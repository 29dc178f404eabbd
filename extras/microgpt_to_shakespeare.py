"""From stage 05's model to this one in single changes: which of them matters?

The first row is stage 05's model (the same weights give the same logits), one excerpt a step, as
stage 05 has one name. Each row below it changes one thing more, up to main.py's recipe at stage
05's size. What is left then is size, and that is main.py itself. All rows run as many steps.

The names are split by hash as in stages 02 to 05 and read as one text, in which a line end stands
for BOS. So val has stage 05's targets, but an excerpt may begin within a name. Two things are
main.py's from the first row on: AdamW's betas, and a rate that falls along a cosine.
Run: python 06_shakespeare_gpt/bridge.py
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch.nn.functional as F
from torch import nn

import main as stage
import plumbing
import series
from ablate import activation, encode, norms, train
from devices import pick_device
from plumbing import ROOT, SPLITS, STAGE

START = {**stage.PRESETS["microgpt"], "batch_size": 1}


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = ROOT / "data" / "tinyshakespeare.txt"  # the text of the last row
    names: Path = ROOT / "data" / "names.txt"  # the names of the rows before it
    seeds: int = 3  # runs of each row
    seed: int = 1337  # the first of the seeds; the others count on from it
    steps: int = 2000  # updates of the weights in each run
    again: bool = False  # also repeat the runs that are kept
    list: bool = False  # name the rows and do nothing else
    device: str = "auto"  # auto, cpu, cuda or mps
    out: Path = ROOT / "out" / STAGE / "bridge"  # folder for a JSON file of each run and table.json

    def __post_init__(self):
        plumbing.check_ranges(self, seeds=(1, 1000), seed=(0, 2**31), steps=(0, 10**7))


# ---- data ------------------------------------------------------------------------------------
# Same as 02_bigram_counts
def load_splits(path):
    """Return {"train": docs, "val": docs, "test": docs}, each a list of str.

    A folder's train.txt, val.txt and test.txt are used as they are. In a single file each line's
    own hash decides: 8 in 10 train, 1 in 10 val, 1 in 10 test. No random numbers, and a name that
    stands twice falls on one side, so none leaks from train into test. BadInput if one is empty.
    """
    if path.is_dir():
        splits = {name: plumbing.read_docs(path / f"{name}.txt") for name in SPLITS}
    else:
        splits = {name: [] for name in SPLITS}
        for doc in plumbing.read_docs(path):
            bucket = zlib.crc32(doc.encode()) % 10
            splits[{8: "val", 9: "test"}.get(bucket, "train")].append(doc)
    plumbing.check_splits(path, splits)
    return splits


def load_names(path):
    """The names as two running texts {"train", "val"}: a line end before, between and after them.

    The targets of val are those of stages 02 to 05: every character and the end of each name.
    """
    splits = load_splits(path)
    return {name: "\n" + "\n".join(splits[name]) + "\n" for name in ("train", "val")}


# ---- model -----------------------------------------------------------------------------------
def norm_first(model):
    """Stage 05 norms the sum of the embeddings; model.py norms before lm_head instead."""
    model.dropout, model.ln_f = nn.Sequential(model.ln_f, model.dropout), nn.Identity()


def no_biases(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.bias = None


def one_spread(model):
    """Stage 05 draws every matrix with a spread of 0.08."""
    for p in model.parameters():
        if p.dim() == 2:
            nn.init.normal_(p, std=0.08)


@dataclass(frozen=True)
class Step:
    what: str  # one line
    undo: Callable = lambda model: None  # gives a new GPT back what stage 05 has in this place
    fields: tuple = ()  # of main.py's Config: from this row on they have their defaults
    aside: dict = field(default_factory=dict)  # fields that differ in this row alone


plain_rmsnorm = norms(lambda C: nn.RMSNorm(C, eps=1e-5, elementwise_affine=False))
CHAIN = {
    "microgpt": Step("stage 05's model"),
    "layernorm": Step("LayerNorm, with scale and shift, for RMSNorm without", plain_rmsnorm),
    "last-norm": Step("the norm behind the embeddings moves before lm_head", norm_first),
    "gelu": Step("GELU for ReLU", activation(F.relu)),
    "biases": Step("biases in every Linear", no_biases),
    "init": Step("first weights of 0.02, less at a branch's end, for 0.08", one_spread),
    "dropout": Step("aside: dropout of 0.1, in this row only", aside={"dropout": 0.1}),
    "rate": Step("the learning rate of main.py", fields=("learning_rate",)),
    "adamw": Step("AdamW for Adam: weight decay", fields=("weight_decay",)),
    "warmup": Step("a warm-up", fields=("warmup",)),
    "clip": Step("gradients clipped", fields=("clip",)),
    "muon": Step("Muon for the matrices in the block", fields=("muon_learning_rate",)),
    "batches": Step("batches for single excerpts", fields=("batch_size",)),
    "corpus": Step("Tiny Shakespeare for names", fields=("data",)),
}


def plan():
    """Row -> (fields of main.py's Config, changes to a new GPT, the row it is compared with).

    After an aside the chain goes on from the row before it. Losses on different texts do not
    compare, so the corpus row has None.
    """
    rows, names, before = {}, list(CHAIN), None
    for i, name in enumerate(names):
        changed = {field for reached in names[: i + 1] for field in CHAIN[reached].fields}
        fields = {key: value for key, value in START.items() if key not in changed}
        undone = [CHAIN[later].undo for later in names[i + 1 :]]
        reference = None if "data" in CHAIN[name].fields else before
        rows[name] = ({**fields, **CHAIN[name].aside}, undone, reference)
        before = before if CHAIN[name].aside else name
    return rows


# ---- main ------------------------------------------------------------------------------------
def main():
    config = plumbing.parse_flags(Config, __doc__)
    if config.list:
        return series.print_list(CHAIN)
    device = pick_device(config.device)
    if config.data == Config.data:
        plumbing.get_data("tinyshakespeare")
    texts = {
        config.names: load_names(config.names),
        config.data: stage.load_text(config.data, START["block_size"]),
    }
    plumbing.prepare_out(config.out)
    encoded = {path: encode(splits, device) for path, splits in texts.items()}

    rows, configs = plan(), {}
    shared = {"steps": config.steps, "device": device, "eval_every": 10**7}
    for name, (fields, _, _) in rows.items():
        data = config.names if "data" in fields else config.data
        for seed in range(config.seed, config.seed + config.seeds):
            changed = {**fields, **shared, "data": data, "seed": seed}
            configs[name, seed] = stage.Config(**changed)
    jobs = {job: series.describe(CHAIN[job[0]].what, c) for job, c in configs.items()}

    def train_job(name, seed):
        job = configs[name, seed]
        return train(job, rows[name][1], *encoded[job.data])

    interrupted = series.run_all(jobs, config.out, train_job, config.again)
    references = {name: reference for name, (_, _, reference) in rows.items()}
    table = series.compare(jobs, config.out, references)
    series.report(table, config.out, "From stage 05's model to stage 06's", "the row before")
    print("corpus: another text, so its loss does not compare with those above it")
    return 130 if interrupted else 0


if __name__ == "__main__":
    plumbing.run(main)
