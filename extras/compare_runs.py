"""Runs that differ in one thing each: train them, keep each as JSON, compare them in one table.

ablate_microgpt.py, microgpt_to_shakespeare.py, compare_tokens.py and others use this file. They say
what differs and how to train. `stage` is the folder whose code they use, such as 05_microgpt. Its
common.py handles Ctrl-C and writes the files.
"""

import contextlib
import io
import json
import math
import statistics
import time
from datetime import timedelta

from stage_code import load_stage

from rich.console import Console
from rich.table import Table


# ---- entries ---------------------------------------------------------------------------------
def print_list(entries):
    """Print a line for each entry. entries: name -> an object whose .what says what differs."""
    width = max(map(len, entries))
    for name, entry in entries.items():
        print(f"{name:{width}}  {entry.what}")


def choose(stage, only, entries):
    """The names of the entries to train: those in `only`, separated by commas, or all if it is "".

    The first entry is always one of them, because the others are compared with it.
    """
    names = [name.strip() for name in only.split(",") if name.strip()]
    for name in names:
        if name not in entries:
            problem = f"--only: there is no {name}; choose from {', '.join(entries)}"
            raise load_stage(stage, "common").BadInput(problem)
    first = next(iter(entries))
    return [name for name in entries if name == first or name in names or not names]


# ---- training --------------------------------------------------------------------------------
def describe(stage, what, config):
    """Everything that decides the outcome of a run.

    A kept run with the same description is not repeated. config: that of the run. Its data must
    have been read before.
    """
    common = load_stage(stage, "common")
    # config.data is a file, or a folder from which several files were read.
    hashes = [
        sha256
        for path, sha256 in sorted(common.read_hashes.items())
        if config.data in (path, path.parent)
    ]
    return {"what": what, "sha256": "".join(hashes), **common.settings(config)}


def run_path(out, entry, seed):
    return out / f"{entry}-{seed}.json"


def kept(path, about):
    """The run in a file. None if the file is missing or broken, or if its description differs."""
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
        return run if run["about"] == about else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def save(stage, path, value):
    """Write JSON atomically. NaN and infinity, which JSON does not have, become null."""
    value = json.loads(json.dumps(value), parse_constant=lambda constant: None)
    text = json.dumps(value, indent=1) + "\n"
    load_stage(stage, "common").write_files(path.parent, {path.name: text})


def run_all(stage, jobs, out, train, again=False):
    """Train the runs that are not kept yet, or all; keep each in <out>/<entry>-<seed>.json.

    jobs: (entry, seed) -> its description. train(entry, seed) -> (measured, log): measured holds
    params, the last val loss and the curve; log is the training's.

    A stop ends the current run, and that run is not kept.
    """
    common = load_stage(stage, "common")
    todo = [job for job, about in jobs.items() if again or not kept(run_path(out, *job), about)]
    if len(todo) < len(jobs):
        done = len(jobs) - len(todo)
        print(f"{done} of {len(jobs)} runs are kept in {out} (--again repeats them)", flush=True)
    common.stop.training_began = True  # from here on, a stop must not skip the table
    steps, began = common.Steps(len(todo), "the series"), time.perf_counter()
    for i in steps:
        entry, seed = todo[i]
        with contextlib.redirect_stdout(io.StringIO()):  # hide what a single training prints
            measured, log = train(entry, seed)
        if log.stopped:
            break
        run = {
            "schema": 1,
            "stage": stage,
            "entry": entry,
            "seed": seed,
            "unit": "nats/char",
            **measured,
            "steps": log.done,
            "seconds": round(log.seconds, 3),
            "about": jobs[entry, seed],
        }
        save(stage, run_path(out, entry, seed), run)
        line = f"run {i + 1} of {len(todo)}: {entry}, seed {seed}"
        line += f": val loss {measured['val']:.4f}, {log.seconds:.1f} s"
        if i + 1 < len(todo):
            seconds = (time.perf_counter() - began) / (i + 1) * (len(todo) - i - 1)
            line += f"; {timedelta(seconds=round(seconds))} left (hours:minutes:seconds)"
        print(line, flush=True)
    if steps.stopped:
        print("stopped; finished runs are kept, and the same command trains the others")


# ---- comparing -------------------------------------------------------------------------------
def compare(jobs, out, references):
    """A row for each entry with a kept run: means over its seeds, and the difference from another.

    references: entry -> the entry to compare it with, or None.

    Runs with the same seed see the same batches and, if their shapes are the same, start from the
    same weights. So differences are taken seed by seed: what chance does to both runs cancels out.
    A run whose val loss is not a number counts as diverged and is left out of all means.
    """
    runs = {}  # entry -> seed -> run
    for (entry, seed), about in jobs.items():
        run = kept(run_path(out, entry, seed), about)
        if run is not None:
            runs.setdefault(entry, {})[seed] = run
    vals = {
        entry: {seed: run["val"] for seed, run in by_seed.items() if run["val"] is not None}
        for entry, by_seed in runs.items()
    }
    rows = []
    for entry, by_seed in runs.items():
        reference = vals.get(references.get(entry), {})
        differences = [
            val - reference[seed] for seed, val in vals[entry].items() if seed in reference
        ]
        last = list(by_seed.values())[-1]
        rows.append(
            {
                "entry": entry,
                "what": last["about"]["what"],
                "params": last["params"],
                "steps": last["steps"],
                "val": spread(list(vals[entry].values())),
                "difference": spread(differences),
                "seconds": statistics.mean(run["seconds"] for run in by_seed.values()),
                "seeds": sorted(by_seed),
                "diverged": len(by_seed) - len(vals[entry]),
            }
        )
    return rows


def spread(values):
    """The mean of a list, which needs one number, and its standard deviation, which needs two."""
    return {
        "mean": statistics.mean(values) if values else None,
        "sd": statistics.stdev(values) if len(values) > 1 else None,
    }


def by_difference(rows):
    """The rows sorted by their mean difference, lowest first; those without one at the end."""

    def mean(row):
        value = row["difference"]["mean"]
        return math.inf if value is None else value

    return sorted(rows, key=mean)


# ---- the table -------------------------------------------------------------------------------
def headers(against):
    """against: what the rows are compared with, in words."""
    return ["entry", "what", "params", "steps", "val loss", f"against {against}", "seconds"]


def cells(row):
    """A row of compare() as text, a str for each header."""
    return [
        row["entry"],
        row["what"],
        f"{row['params']:,}",
        f"{row['steps']:,}",
        val_loss(row),
        plus_minus(row["difference"], "+"),
        f"{row['seconds']:.1f}",
    ]


def val_loss(row):
    """The mean with its standard deviation, and how many runs diverged."""
    if not row["diverged"]:
        return plus_minus(row["val"])
    return f"{plus_minus(row['val'])} {row['diverged']} of {len(row['seeds'])} diverged".strip()


def plus_minus(spread, sign=""):
    """ "2.1234 ± 0.0012"; an unknown part is left out. sign: "+" also shows a plus."""
    mean, sd = spread["mean"], spread["sd"]
    return ("" if mean is None else f"{mean:{sign}.4f}") + ("" if sd is None else f" ± {sd:.4f}")


def report(stage, rows, out, title, against):
    """Print the rows as a table and write them to <out>/table.json."""
    content = {"schema": 1, "stage": stage, "unit": "nats/char", "rows": rows}
    save(stage, out / "table.json", content)
    print_table(title, headers(against), [cells(row) for row in rows])
    print("val loss in nats/char; mean ± standard deviation if there are several seeds")


def print_table(title, headers, rows):
    """Print rows of text. The first two columns hold words, the others numbers."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for header in headers[:2]:
        table.add_column(header)
    for header in headers[2:]:
        table.add_column(header, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console = Console(markup=False, emoji=False, highlight=False)
    console.width = console.width if console.is_terminal else 120
    console.print(table)
