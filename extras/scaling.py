"""A scaling law in miniature: the losses of small models predict the loss of a larger one.

Same as stage 06: the model, the training, the text.
New here: one training for each of several widths (n_embd), and a straight line.
Source: "Scaling Laws for Neural Language Models", Kaplan et al., 2020.

If the loss is a power of the number of parameters, loss = a * params ** -b, then log(loss) against
log(params) is a straight line with the slope -b. The line is fitted to all models but the widest,
and then says what the widest should reach. All models train on the same excerpts, for the same
number of steps.
Run: python extras/scaling.py
"""

import math
import statistics
from dataclasses import dataclass
from pathlib import Path

from stage_code import ROOT, load_stage

from ablate_shakespeare import NEVER, STAGE, encode, make_model, train
from compare_runs import compare, describe, report, run_all

common = load_stage(STAGE, "common")
stage = load_stage(STAGE)
devices = load_stage(STAGE, "devices")

WIDTHS = (16, 32, 64, 128)  # n_embd; the line predicts the loss of the last one


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = common.flag(
        ROOT / "data/tinyshakespeare.txt", "a text file, or a folder with train.txt and val.txt"
    )
    seed: int = common.flag(1337, "seeds the random weights and batches", 0, 2**31)
    steps: int = common.flag(400, "updates of the weights in each run", 0, 10**7)
    again: bool = common.flag(False, "also repeat the finished runs")
    device: str = common.flag(
        "auto", "auto, cpu, cuda or mps", choices=["auto", "cpu", "cuda", "mps"]
    )
    out: Path = common.flag(common.OUT / "scaling", "folder for table.json and a JSON file per run")


# ---- the line --------------------------------------------------------------------------------
def fit(params, losses):
    """a and b of loss = a * params ** -b, by least squares on the logarithms."""
    slope, intercept = statistics.linear_regression(map_log(params), map_log(losses))
    return math.exp(intercept), -slope


def map_log(values):
    return [math.log(value) for value in values]


def predict(rows):
    """The loss that the line through all rows but the last gives for each of them; and b.

    rows: those of compare(), with at least three runs.
    """
    params = [row["params"] for row in rows]
    a, b = fit(params[:-1], [row["val"]["mean"] for row in rows[:-1]])
    return [a * n**-b for n in params], b


# ---- main ------------------------------------------------------------------------------------
def main():
    config = common.parse_flags(Config, __doc__, tries=False)
    device = devices.pick_device(config.device)
    splits = stage.load_text(config.data, stage.Config().block_size)
    common.prepare_out(config.out)
    data, vocab_size = encode(splits, device)
    configs = {
        (f"width-{width}", config.seed): stage.Config(
            data=config.data, seed=config.seed, steps=config.steps, n_embd=width,
            eval_every=NEVER, device=device,
        )
        for width in WIDTHS
    }  # fmt: skip
    jobs = {
        job: describe(STAGE, f"{own.n_embd} numbers in each vector", own)
        for job, own in configs.items()
    }

    def train_job(entry, seed):
        own = configs[entry, seed]
        return train(own, make_model(own, vocab_size, {}, []), data)

    run_all(STAGE, jobs, config.out, train_job, config.again)
    entries = [entry for entry, _ in jobs]
    rows = compare(jobs, config.out, dict(zip(entries[1:], entries)))
    report(STAGE, rows, config.out, "The same training, wider and wider", "the row before")
    if len(rows) == len(WIDTHS):
        predicted, b = predict(rows)
        last = f"{predicted[-1]:.4f}, and it is {rows[-1]['val']['mean']:.4f}"
        print(f"loss ~ params ** {-b:.4f}; this predicts a last val loss of {last}")


if __name__ == "__main__":
    common.run(main)
