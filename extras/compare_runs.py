"""A series of runs that differ in one thing each: every run kept as JSON, all of them in one table.

Word for word the same file in stages 05 and 06, which train; this one counts and compares.
"""

import contextlib
import dataclasses
import io
import json
import math
import statistics
import time

from rich.console import Console
from rich.table import Table

import plumbing
from plumbing import STAGE, BadInput


def print_list(entries):
    """Name every entry. entries: name -> a swap whose .what says in a line what it swaps."""
    width = max(map(len, entries))
    for name, swap in entries.items():
        print(f"{name:{width}}  {swap.what}")


def choose(only, entries):
    """The names of the entries to train; the first always, as the others are compared with it."""
    names = [name.strip() for name in only.split(",") if name.strip()]
    for name in names:
        if name not in entries:
            raise BadInput(f"--only {name} is none of {', '.join(entries)}")
    return [name for i, name in enumerate(entries) if i == 0 or not names or name in names]


# ---- training --------------------------------------------------------------------------------
def describe(what, config):
    """All that decides how a run comes out, fit for JSON: a kept run is good if it has the same."""
    fields = {k: v for k, v in dataclasses.asdict(config).items() if k not in ("data", "out")}
    return {"what": what, "sha256": plumbing.sha256(config.data), **fields}


def kept(path, about):
    """The run in a file, or None if the file is missing, broken or of a run described otherwise."""
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
        return run if run["about"] == about else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def run_all(jobs, out, train, again=False):
    """Do the jobs that are not kept yet, or all of them; keep each in <out>/<entry>-<seed>.json.

    jobs: (entry, seed) -> its description; train(entry, seed) -> (measured, finished Progress),
    where measured holds params, the last val loss and the curve. Returns whether Ctrl-C ended it;
    the run it ended is not kept.
    """
    todo = [job for job, about in jobs.items() if again or not kept(run_path(out, *job), about)]
    if done := len(jobs) - len(todo):
        print(f"{done} of {len(jobs)} runs are kept in {out} (--again repeats them)", flush=True)
    start = time.perf_counter()
    for number, (entry, seed) in enumerate(todo, 1):
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # the lines of each single training
                measured, progress = train(entry, seed)
            interrupted = progress.interrupted
        except KeyboardInterrupt:  # before or after the steps, where no Progress watches for it
            interrupted = True
        if interrupted:
            print("stopped; finished runs are kept, and the same command goes on after them")
            return True
        run = {
            "schema": 1, "stage": STAGE, "entry": entry, "seed": seed, "unit": "nats/char",
            **measured, "steps": progress.done, "seconds": round(progress.seconds, 3),
            "about": jobs[entry, seed],
        }  # fmt: skip
        save(run_path(out, entry, seed), run)
        left = (time.perf_counter() - start) / number * (len(todo) - number)
        print(
            f"run {number} of {len(todo)}: {entry}, seed {seed}: val loss {measured['val']:.4f}, "
            f"{progress.seconds:.1f} s; {left / 60:.1f} min left",
            flush=True,
        )
    return False


def run_path(out, entry, seed):
    return out / f"{entry}-{seed}.json"


def save(path, value):
    """Write JSON; NaN and infinities become null."""
    text = json.dumps(plumbing.finite(value), indent=1)
    plumbing.write_atomically(path, (text + "\n").encode("utf-8"))


# ---- comparing -------------------------------------------------------------------------------
def compare(jobs, out, references):
    """A row for each entry with a kept run: means over its seeds, and the difference to another's.

    references: entry -> the entry it is compared with; none for those that are not. Runs with the
    same seed share batches and, where they have the same shapes, first weights. So differences are
    taken seed by seed: what chance does to both drops out. A val loss that is no number counts as
    diverged and in no mean.
    """
    runs = {}
    for (entry, seed), about in jobs.items():
        if run := kept(run_path(out, entry, seed), about):
            runs.setdefault(entry, {})[seed] = run
    vals = {
        entry: {seed: run["val"] for seed, run in by_seed.items() if run["val"] is not None}
        for entry, by_seed in runs.items()
    }
    rows = []
    for entry, by_seed in runs.items():
        others = vals.get(references.get(entry), {})
        last = list(by_seed.values())[-1]
        rows.append({
            "entry": entry,
            "what": last["about"]["what"],
            "params": last["params"],
            "steps": last["steps"],
            "val": spread(vals[entry].values()),
            "difference": spread(v - others[s] for s, v in vals[entry].items() if s in others),
            "seconds": statistics.mean(run["seconds"] for run in by_seed.values()),
            "seeds": sorted(by_seed),
            "diverged": len(by_seed) - len(vals[entry]),
        })  # fmt: skip
    return rows


def spread(values):
    """{"mean", "sd"} of some numbers; the standard deviation needs two of them, the mean one."""
    values = list(values)
    return {
        "mean": statistics.mean(values) if values else None,
        "sd": statistics.stdev(values) if len(values) > 1 else None,
    }


def by_difference(rows):
    """The rows sorted by their mean difference, lowest first; those without one at the end."""
    means = [row["difference"]["mean"] for row in rows]
    order = sorted(range(len(rows)), key=lambda i: math.inf if means[i] is None else means[i])
    return [rows[i] for i in order]


# ---- the table -------------------------------------------------------------------------------
def report(rows, out, title, against):
    """Print the rows as a table and write them to <out>/table.json. against: what a difference is
    measured from.
    """
    save(out / "table.json", {"schema": 1, "stage": STAGE, "unit": "nats/char", "rows": rows})
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for header in ("entry", "what"):
        table.add_column(header)
    for header in ("params", "steps", "val loss", f"against {against}", "seconds"):
        table.add_column(header, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row["entry"], row["what"], f"{row['params']:,}", f"{row['steps']:,}", val_loss(row),
            plus_minus(row["difference"], "+"), f"{row['seconds']:.1f}",
        )  # fmt: skip
    console = Console(markup=False, emoji=False, highlight=False)
    console.width = console.width if console.is_terminal else 120
    console.print(table)
    print("val loss in nats/char; mean ± standard deviation where there are several seeds")


def val_loss(row):
    """The mean with its spread, and how many runs ended in no number."""
    if not row["diverged"]:
        return plus_minus(row["val"])
    return f"{plus_minus(row['val'])} {row['diverged']} of {len(row['seeds'])} diverged".strip()


def plus_minus(spread, sign=""):
    """ "2.1234 ± 0.0012", as far as it is known."""
    mean, sd = spread["mean"], spread["sd"]
    return ("" if mean is None else f"{mean:{sign}.4f}") + ("" if sd is None else f" ± {sd:.4f}")
