"""What is each part of a modern GPT worth? Add one to stage 06's model, then one after another.

--table alone adds each part alone to stage 06's model and compares it with that model. --table
chain adds them one after another. A part that makes the loss no lower leaves the chain again, and
the next row continues without it.

All rows train for the same time. A part that makes a step slower gets fewer steps: pace.json holds
the time of a step of each row as a multiple of the baseline's, measured side by side before the
training. The model is main.py's, but smaller (SMALL), so that a run takes seconds.
Run: python extras/ablate_modern.py
     python extras/ablate_modern.py --table chain
"""

import json
import statistics
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from stage_code import ROOT, load_stage

import torch
import torch.nn.functional as F

import modern_gpt
from ablate_shakespeare import SMALL as SMALL_GPT
from ablate_shakespeare import encode
from compare_runs import by_difference, compare, describe, report, run_all, save

STAGE = "06_shakespeare_gpt"
common = load_stage(STAGE, "common")
stage = load_stage(STAGE)
devices = load_stage(STAGE, "devices")

SMALL = {**SMALL_GPT, "n_head": 2}  # as many as main.py's model
WHAT = {
    "baseline": "stage 06's model",
    **modern_gpt.PARTS,
    "ema": "scored with a running mean of the weights",
}
EMA = 0.98  # each step moves the mean by 2% of the way: it covers about the last 50 steps
ROUNDS = 40  # steps that measure the pace, of both models in turn; the median counts


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = common.flag(
        ROOT / "data/tinyshakespeare.txt", "a text file, or a folder with train.txt and val.txt"
    )
    table: str = common.flag("alone", "alone or chain", choices=["alone", "chain"])
    seeds: int = common.flag(3, "runs of each row", 1, 1000)
    seed: int = common.flag(1337, "the first seed; the others follow it", 0, 2**31)
    steps: int = common.flag(450, "updates of the baseline; all rows get its time", 0, 10**7)
    again: bool = common.flag(False, "also repeat the finished runs")
    device: str = common.flag(
        "auto", "auto, cpu, cuda or mps", choices=["auto", "cpu", "cuda", "mps"]
    )
    out: Path = common.flag(common.OUT, "folder for the folders modern_alone and modern_chain")


# ---- training --------------------------------------------------------------------------------
def keep_mean(model):
    """Keep a running mean of a model's weights. Returns it: parameter -> tensor

    It moves before every batch of the training, so it lags one step behind.
    """
    mean = {}

    def move(model, inputs):
        if model.training:
            for p in model.parameters():
                mean.setdefault(p, p.detach().clone()).lerp_(p.detach(), 1 - EMA)

    model.register_forward_pre_hook(move)
    return mean


def train(config, parts, tokenizer, data):
    """Train as main.py does. -> what run_all() keeps of a run, the log"""
    torch.manual_seed(config.seed)
    model = modern_gpt.make_model(config, tokenizer).to(config.device)
    mean = keep_mean(model) if "ema" in parts else {}
    dtype = devices.pick_dtype(config.dtype, config.device)
    log, _ = stage.train(config, model, data, config.device, dtype)
    val = log.val
    if mean and not log.stopped:
        with torch.no_grad():
            for p, average in mean.items():
                p.copy_(average)
        with devices.autocast(config.device, dtype):
            val = stage.evaluate(model, data["val"])
    params = sum(p.numel() for p in model.parameters())
    return {"params": params, "val": val, "curve": log.curve}, log


# ---- equal time ------------------------------------------------------------------------------
def step_time(config, parts, tokenizer, data):
    """Yield the seconds of a step, again and again.

    On a CPU, these are seconds of its work, which other programs on the machine do not lengthen.
    """
    torch.manual_seed(config.seed)
    model = modern_gpt.make_model(config, tokenizer).to(config.device)
    if "ema" in parts:
        keep_mean(model)
    optimizers = stage.make_optimizers(config, model)
    dtype = devices.pick_dtype(config.dtype, config.device)
    clock = time.process_time if config.device == "cpu" else time.perf_counter
    for step in count():
        began = clock()
        xb, yb = stage.get_batch(data["train"], config, step)
        with devices.autocast(config.device, dtype):
            loss = F.cross_entropy(model(xb).flatten(0, 1), yb.flatten())
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        for optimizer in optimizers:
            with devices.autocast(config.device, dtype):
                optimizer.step()
        loss.item()  # waits for a GPU
        yield clock() - began


class Series:
    """The runs of one table: the text, the settings, and the pace of each row."""

    def __init__(self, config):
        self.config, self.out = config, config.out / f"modern_{config.table}"
        splits = stage.load_text(config.data, SMALL["block_size"])
        self.tokenizer = stage.Tokenizer("".join(splits.values()))
        self.device = devices.pick_device(config.device)
        self.data, _ = encode(splits, self.device)
        common.prepare_out(self.out)
        self.pace = {}  # entry -> the time of its step, as a multiple of the baseline's
        path = self.out / "pace.json"
        if path.exists() and not config.again:
            self.pace = json.loads(path.read_text(encoding="utf-8"))
        self.jobs = {}  # (entry, seed) -> its description

    def settings(self, parts, **changes):
        """modern_gpt.py's Config of a row with these parts."""
        own = ",".join(part for part in modern_gpt.PARTS if part in parts)
        fields = {"data": self.config.data, "device": self.device, "parts": own, **SMALL}
        return modern_gpt.Config(**{**fields, **changes})

    def steps(self, entry, parts):
        """How many steps a row makes in the time of the baseline."""
        if entry not in self.pace:
            before = step_time(self.settings(set()), set(), self.tokenizer, self.data)
            own = step_time(self.settings(parts), parts, self.tokenizer, self.data)
            times = [(next(before), next(own)) for _ in range(ROUNDS)]
            theirs, ours = map(statistics.median, zip(*times))
            self.pace[entry] = round(ours / theirs, 3) if parts else 1.0
            save(STAGE, self.out / "pace.json", self.pace)
        return round(self.config.steps / self.pace[entry])

    def train(self, rows):
        """Train the runs of some rows that are not kept yet. rows: entry -> its parts"""
        jobs, configs = {}, {}
        for entry, parts in rows.items():
            steps = self.steps(entry, parts)
            for seed in range(self.config.seed, self.config.seed + self.config.seeds):
                configs[entry, seed] = self.settings(parts, steps=steps, seed=seed)
                what = f"{WHAT[entry]}, after {', '.join(sorted(parts))}"
                jobs[entry, seed] = describe(STAGE, what, configs[entry, seed])

        def train_job(entry, seed):
            return train(configs[entry, seed], rows[entry], self.tokenizer, self.data)

        run_all(STAGE, jobs, self.out, train_job, self.config.again)
        self.jobs.update(jobs)

    def rows(self, references):
        """compare()'s rows with what each row adds and its pace."""
        rows = compare(self.jobs, self.out, references)
        for row in rows:
            row.update(what=WHAT[row["entry"]], pace=self.pace[row["entry"]])
        return rows


# ---- the two tables --------------------------------------------------------------------------
def alone(series):
    rows = {entry: {entry} - {"baseline"} for entry in WHAT}
    series.train(rows)
    table = by_difference(series.rows(dict.fromkeys(rows, "baseline")))
    report(STAGE, table, series.out, "One part added to stage 06's model", "the baseline")


def chain(series):
    """Add a part; keep it if the mean loss is lower than that of the last row that was kept."""
    series.train({"baseline": set()})
    parts, last, references, kept = set(), "baseline", {"baseline": None}, ["baseline"]
    for entry in list(WHAT)[1:]:
        if common.stop.count:
            break
        either = {"swiglu", "relu_squared"}  # one takes the place of the other
        tried = (parts - either if entry in either else parts) | {entry}
        series.train({entry: tried})
        references[entry] = last
        row = series.rows(references)[-1]
        if row["entry"] == entry and (row["difference"]["mean"] or 0) < 0:
            parts, last = tried, entry
            kept.append(entry)
    table = series.rows(references)
    for row in table:
        row["kept"] = row["entry"] in kept
    report(STAGE, table, series.out, "One part after another", "the last row that was kept")
    print(f"kept: {', '.join(kept[1:]) or 'nothing'}")


def main():
    config = common.parse_flags(Config, __doc__, tries=False)
    series = Series(config)
    {"alone": alone, "chain": chain}[config.table](series)


if __name__ == "__main__":
    common.run(main)
