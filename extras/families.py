"""Is attention better? Counts, MLPs and GPTs at equal size, in equal time, with growing context.

Every run trains a model of stage 04, of stage 05's twin or of ngrams.py on the same names, in the
way that its own program trains it. RUNS lists the sizes, the contexts and the numbers of steps, and
the rules behind them. Nothing was chosen on test.
Run: python extras/families.py
"""

import contextlib
import io
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

from stage_code import ROOT, load_stage

import torch
import torch.nn.functional as F

import ngrams
from compare_runs import describe, kept, print_list, run_path, save

STAGE = "05_microgpt"
common = load_stage(STAGE, "common")
names = load_stage(STAGE, "names")
twin = load_stage(STAGE, "torch_twin")
mlp = load_stage("04_embedding_mlp")
mlp_common = load_stage("04_embedding_mlp", "common")


# ---- config ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Config:
    data: Path = common.flag(
        ROOT / "data/names.txt", "one name per line, or a folder with train, val and test.txt"
    )
    seed: int = common.flag(42, "seeds the random weights, batches and samples", 0, 2**32 - 1)
    again: bool = common.flag(False, "also repeat the finished runs")
    list: bool = common.flag(False, "print the runs and do nothing else")
    out: Path = common.flag(
        common.OUT / "families", "folder for table.json and a JSON file per run"
    )
    row: Path = common.flag(
        mlp_common.OUT / "context-8", "folder for the model and the result of the run mlp-8"
    )


# ---- data ------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Data:
    splits: dict  # split -> list of str
    tokenizer: names.Tokenizer


def windows(docs, tokenizer, block_size):
    """Rows for the twin in which each target comes after the block_size tokens before it.

    twin.pad_docs() cuts a long name into pieces, and each piece starts without context. That leaves
    many targets with fewer tokens before them. Here a name's first row is scored at all places.
    Every further row begins one token later and is scored at its last place alone. With room for
    every name, both are the same.
    """
    T = block_size
    xs, ys = [], []
    for doc in docs:
        tokens = tokenizer.encode(doc)
        padding = max(0, T + 1 - len(tokens))
        xs.append(tokens[:-1][:T] + [tokenizer.BOS] * padding)
        ys.append(tokens[1 : T + 1] + [-1] * padding)
        for i in range(1, len(tokens) - T):
            xs.append(tokens[i : i + T])
            ys.append([-1] * (T - 1) + [tokens[i + T]])
    return torch.tensor(xs), torch.tensor(ys)  # (rows, T) twice


# ---- training --------------------------------------------------------------------------------
# Each train_ function returns the trained model and what is kept of the run.
def outcome(params, loss, chars_seen, log):
    """What is kept of a run with a log."""
    return {
        "params": params,
        "loss": loss,
        "chars_seen": chars_seen,
        "steps": log.done,
        "seconds": log.seconds,
        "curve": log.curve,
    }


def train_ngram(config, data):
    texts = {
        split: [ngrams.BOS + doc + ngrams.BOS for doc in docs]
        for split, docs in data.splits.items()
    }
    tokenizer = ngrams.names.Tokenizer(data.tokenizer.chars)
    began = time.perf_counter()
    counts = ngrams.count_ngrams(texts["train"], config.n)
    model = ngrams.NGram(counts, config.n, config.smoothing, tokenizer)
    seconds = time.perf_counter() - began
    return model, {
        "params": len(model.kept),
        "loss": {split: ngrams.evaluate(model, texts[split]) for split in texts},
        "chars_seen": sum(counts.values()),
        "steps": 1,
        "seconds": seconds,
        "curve": [],
    }


def train_mlp(config, data, model_class=mlp.MLP):
    tensors = {
        split: mlp.contexts(docs, data.tokenizer, config.block_size)
        for split, docs in data.splits.items()
    }
    torch.manual_seed(config.seed)
    model = model_class(config, data.tokenizer)
    log = mlp.train(config, model, tensors)
    params = sum(p.numel() for p in model.parameters())
    loss = {split: mlp.evaluate(model, *tensors[split]) for split in tensors}
    return model, outcome(params, loss, log.done * config.batch_size, log)


class DropoutMLP(mlp.MLP):
    """Stage 04's MLP with best's rate of dropout: a tenth of the neurons are 0 in training."""

    def hidden(self, xb):
        training = torch.is_grad_enabled()  # the stage measures without gradients
        return F.dropout(super().hidden(xb), twin.PRESETS["best"]["dropout"], training)


def train_dropout_mlp(config, data):
    return train_mlp(config, data, DropoutMLP)


def train_gpt(config, data):
    tensors = {
        split: windows(docs, data.tokenizer, config.block_size)
        for split, docs in data.splits.items()
    }
    # With a short context, a name has several rows. Enlarge the batch, so that a step still reads
    # as many names.
    # twin.train() cuts the rows of a batch to the largest number of targets in one of them. The
    # batches are so large that this is always a complete first row.
    rows_of_a_name = len(tensors["train"][0]) / len(data.splits["train"])
    config = replace(config, batch_size=round(config.batch_size * rows_of_a_name))
    torch.manual_seed(config.seed)
    weights = twin.init_weights(config, data.tokenizer.vocab_size)
    model = twin.Model(config, weights, data.tokenizer)
    log, chars_seen = twin.train(model, tensors)
    params = sum(w.numel() for w in weights.values())
    loss = {split: twin.evaluate(model, *tensors[split]) for split in tensors}
    return model, outcome(params, loss, chars_seen, log)


# ---- runs ------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Run:
    what: str  # one line
    context: int  # the most tokens before a target that the model sees
    config: object  # of ngrams.py, of stage 04 or of the twin
    train: Callable  # one of the train_ functions


def ngram_run(context):
    n = context + 1
    return Run(f"{n}-gram, Kneser-Ney", context, ngrams.Config(n=n), train_ngram)


def fit_mlp(block_size, budget, V=27):
    """The largest MLP of stage 04's shape with at most `budget` parameters. -> n_embd, n_hidden

    n_embd is the largest that fits if n_hidden grows with it as 256 to 24. What rounding leaves
    over goes to n_hidden.
    """

    def params(C, H):
        return V * C + block_size * C * H + H + H * V + V

    n_embd = max(C for C in range(1, 1000) if params(C, C * 256 // 24) <= budget)
    n_hidden = max(H for H in range(1, 11 * n_embd + 50) if params(n_embd, H) <= budget)
    return n_embd, n_hidden


def mlp_run(context, budget=None, **changes):
    """Stage 04's MLP in its own size, or cut or enlarged to a budget of parameters."""
    config = mlp.Config(block_size=context, **changes)
    if budget:
        n_embd, n_hidden = fit_mlp(context, budget)
        config = replace(config, n_embd=n_embd, n_hidden=n_hidden)
    sizes = f"block_size {context}, n_embd {config.n_embd}, n_hidden {config.n_hidden}"
    return Run(f"MLP, {sizes}, {config.steps:,} steps", context, config, train_mlp)


def dropout_run(context, budget=None):
    """As mlp_run(), with dropout."""
    run = mlp_run(context, budget)
    return replace(run, what=f"{run.what}, dropout", train=train_dropout_mlp)


def gpt_run(context=16, **changes):
    """Stage 05's twin."""
    config = twin.Config(block_size=context, **changes)
    model = "GPT" if config.preset == "small" else "GPT, recipe of best"
    sizes = f"block_size {context}, n_embd {config.n_embd}, n_layer {config.n_layer}"
    return Run(f"{model}, {sizes}, {config.steps:,} steps", context, config, train_gpt)


def best_run(n_embd, n_layer, **changes):
    """Stage 05's twin with the recipe of --preset best in another size."""
    sizes = {"n_embd": n_embd, "n_layer": n_layer}
    return gpt_run(preset="best", **{**twin.PRESETS["best"], **sizes, **changes})


# Small means 4,192 parameters, the size of stage 05's model, or as close below it as a model gets.
# The other sizes are those of GPTs that are close to stage 04's MLP with 3 and with 8 characters,
# which has 26,275 and 56,995 parameters, and that of best. Three pairs of runs ask whether a recipe
# decides, and not the model: GPTs with the twin's recipe, GPTs with best's, and MLPs with dropout.
RUNS = {
    # growing context
    **{f"counts-{n}": ngram_run(n) for n in (1, 2, 3, 4, 5, 8, 12, 16)},
    **{f"mlp-{n}": mlp_run(n) for n in (1, 2, 3, 5, 8, 12, 16)},
    **{f"small-mlp-{n}": mlp_run(n, 4192) for n in (1, 2, 3, 5, 8, 12, 16)},
    **{f"small-gpt-{n}": gpt_run(n) for n in (2, 3, 4, 6, 8, 16)},
    # growing size
    "mlp-8-26816": mlp_run(8, 26816),
    "mlp-8-201088": mlp_run(8, 201088),
    "mlp-8-dropout": dropout_run(8),
    "mlp-8-201088-dropout": dropout_run(8, 201088),
    "gpt-26816": gpt_run(n_embd=32, n_layer=2),
    "gpt-58656": gpt_run(n_embd=48, n_layer=2),
    "best-4192": best_run(16, 1),
    "best-26816": best_run(32, 2),
    "best-58656": best_run(48, 2),
    "best-201088": best_run(64, 4),
    # a quarter of the steps, and four times as many
    "small-mlp-8-short": mlp_run(8, 4192, steps=1000),
    "small-mlp-8-long": mlp_run(8, 4192, steps=16000),
    "mlp-8-short": mlp_run(8, steps=1000),
    "mlp-8-long": mlp_run(8, steps=16000),
    "small-gpt-16-short": gpt_run(steps=375),
    "small-gpt-16-long": gpt_run(steps=6000),
    "best-26816-short": best_run(32, 2, steps=800),
    "best-201088-short": best_run(64, 4, steps=800),
}
ROW = "mlp-8"  # this run is also a row of the loss table


# ---- the series ------------------------------------------------------------------------------
SCORING = 1.0  # seconds that a run takes in addition to its training, for the time left


def usual_seconds():
    """{entry: seconds} of the runs that are kept with the project, to estimate the time left."""
    path = ROOT / "results" / STAGE / "families/table.json"
    if not path.exists():
        return {}
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    return {row["entry"]: row["seconds"] for row in rows}


def save_row(out, config, model, measured, data):
    """Write a run of stage 04 as its main.py does, and name its row in the loss table."""
    common.prepare_out(out)
    torch.manual_seed(config.seed)
    samples = [mlp.sample(model) for _ in range(20)]
    saved = {
        "config": common.settings(config),
        "chars": data.tokenizer.chars,
        "weights": [p.detach() for p in model.parameters()],
    }
    log = SimpleNamespace(
        curve=measured["curve"], done=measured["steps"], seconds=measured["seconds"]
    )
    mlp_common.read_hashes.update(common.read_hashes)
    mlp_common.save_run(
        replace(config, out=out), log, "the MLP reads 8 characters", {"model.pt": saved},
        **names.count_docs(data.splits), vocab_size=data.tokenizer.vocab_size,
        params=measured["params"], chars_seen=measured["chars_seen"], loss=measured["loss"],
        samples=samples, variant="8 characters",
    )  # fmt: skip


def run_all(todo, config, data):
    """Train these runs one after another and keep each in a file of its own.

    todo: {entry: its description}. A stop ends the current run, and that run is not kept.
    """
    usual = usual_seconds()
    left = {entry: usual.get(entry, 10.0) + SCORING for entry in todo}
    all_seconds, began = sum(left.values()), time.perf_counter()
    for number, (entry, about) in enumerate(todo.items(), 1):
        run = RUNS[entry]
        run_config = replace(run.config, data=config.data, seed=config.seed)
        with contextlib.redirect_stdout(io.StringIO()):  # hide what a single training prints
            model, measured = run.train(run_config, data)
            if common.stop.count == 0 and entry == ROW:
                save_row(config.row, run_config, model, measured, data)
        if common.stop.count > 0:
            print("stopped; finished runs are kept, and the same command trains the others")
            return
        content = {"entry": entry, **measured, "about": about}
        save(STAGE, run_path(config.out, entry, config.seed), content)
        del left[entry]
        done = all_seconds - sum(left.values())
        seconds = (time.perf_counter() - began) / done * sum(left.values())
        val = f"val loss {measured['loss']['val']:.4f}, {measured['seconds']:.1f} s"
        time_left = f"{timedelta(seconds=round(seconds))} left"
        print(f"run {number} of {len(todo)}: {entry}: {val}; {time_left}", flush=True)


def collect(jobs, config):
    """Write the runs that are kept as rows of <out>/table.json, in the order of RUNS."""
    rows = []
    for entry, about in jobs.items():
        run = kept(run_path(config.out, entry, config.seed), about)
        if run:
            del run["about"]
            rows.append({**run, "what": RUNS[entry].what, "context": RUNS[entry].context})
    content = {"schema": 1, "stage": STAGE, "unit": "nats/char", "seed": config.seed, "rows": rows}
    save(STAGE, config.out / "table.json", content)


# ---- main ------------------------------------------------------------------------------------
def main():
    config = common.parse_flags(Config, __doc__, tries=False)
    if config.list:
        print_list(RUNS)
        return
    # Every stage has its own common.py. With one `stop` for all, Ctrl-C ends every training.
    mlp_common.stop = common.stop
    splits = names.load_splits(config.data)
    common.prepare_out(config.out)
    data = Data(splits, names.Tokenizer(sum(splits.values(), [])))
    jobs = {
        entry: describe(STAGE, entry, replace(run.config, data=config.data, seed=config.seed))
        for entry, run in RUNS.items()
    }
    todo = {
        entry: about
        for entry, about in jobs.items()
        if config.again
        or not kept(run_path(config.out, entry, config.seed), about)
        or (entry == ROW and not (config.row / "result.json").exists())
    }
    if len(todo) < len(jobs):
        done = len(jobs) - len(todo)
        print(f"{done} of {len(jobs)} runs are kept in {config.out} (--again repeats them)")
    common.stop.training_began = True  # a stop ends the current run and keeps the others
    run_all(todo, config, data)
    collect(jobs, config)
    print(f"{config.out / 'table.json'} has all losses")


if __name__ == "__main__":
    common.run(main)
