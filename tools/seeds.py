"""Run stages with several seeds, so that the loss table can say how far chance moves a loss.

    python run.py seeds [--seeds 3] [--stages 4,5] [--all] [--again]

The seeds are the stage's default and the next ones. Each run is main.py with --seed S, in a folder
of its own, out/STAGE/seeds/S. One that lies there whole and of the same code is not repeated; seeds
that lie there of other code are repeated, so that no average mixes two versions. "The same code"
means: the same bytes in the stage's files but its tests, in requirements.txt and in
data/names.txt. Flags cannot differ, as none but --seed and --out is given.
"""

import argparse
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import table
from files import write_atomically
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

ROOT = Path(__file__).resolve().parent.parent
LONG = "06"  # takes minutes a run, so it wants --all or --stages 6
STAMP = "code.txt"  # written last: the run beside it is whole and of the code with this hash
INTERRUPTED = 130  # what a stage returns after Ctrl-C
STARTING = 3  # seconds that a run takes besides its training, for the time left


def code_hash(stage, root=ROOT):
    """The hash of what decides a run of this stage besides its flags."""
    files = [p for p in sorted((root / stage).glob("*.py")) if not p.name.startswith("test_")]
    files += [root / "requirements.txt", root / "data" / "names.txt"]
    content = b"".join(f"{p.name}\n".encode() + p.read_bytes() for p in files if p.exists())
    return hashlib.sha256(content).hexdigest()


def default_seed(stage, root=ROOT):
    """The seed that the Config in the stage's main.py names. ValueError if it names none."""
    source = (root / stage / "main.py").read_text(encoding="utf-8")
    found = re.search(r"^    seed: int = (\d+)", source, re.M)
    if found is None:
        raise ValueError(f"{stage}/main.py has no line `seed: int = ...` in its Config")
    return int(found[1])


def plan(stages, count, again, root=ROOT):
    """Return (runs to do, how many are there already); a run is (stage, seed)."""
    todo, there = [], 0
    for stage in stages:
        first, code = default_seed(stage, root), code_hash(stage, root)
        place = root / "out" / stage / "seeds"
        old = {int(p.name) for p in place.glob("*") if p.name.isdecimal()}
        for seed in sorted({*range(first, first + count), *old}):
            folder = place / str(seed)
            stamp = folder / STAMP
            same = stamp.exists() and stamp.read_text(encoding="utf-8").strip() == code
            if same and (folder / "result.json").exists() and not again:
                there += 1
            else:
                todo.append((stage, seed))
    return todo, there


def expected_seconds(stage, root=ROOT):
    """How long a run took for the reference, with the runs that it starts itself (a twin)."""
    place = root / "results" / stage
    results = [*place.glob("result.json"), *place.glob("*/result.json")]
    seconds = [json.loads(path.read_text(encoding="utf-8"))["seconds"] for path in results]
    return sum(seconds) + STARTING


def run_once(stage, seed, root=ROOT):
    """Run the stage in its folder; return (status, what it wrote to stderr)."""
    folder = root / "out" / stage / "seeds" / str(seed)
    (folder / STAMP).unlink(missing_ok=True)
    code = code_hash(stage, root)
    command = [sys.executable, root / stage / "main.py", "--seed", str(seed), "--out", folder]
    env = {**os.environ, "PYTHONUTF8": "1"}
    done = subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8", env=env
    )
    if done.returncode == 0:
        write_atomically(folder / STAMP, code + "\n")
    return done.returncode, done.stderr


def run_all(todo, console, stopped, root=ROOT):
    """Run one after another, with the time left; return the exit status."""
    weights = {stage: expected_seconds(stage, root) for stage, _ in todo}
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(compact=True))
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=sum(weights[stage] for stage, _ in todo))
        for number, (stage, seed) in enumerate(todo, 1):
            what = f"{stage}, seed {seed}"
            progress.update(bar, description=f"{number} of {len(todo)}: {what}")
            status, error = run_once(stage, seed, root)
            if status == INTERRUPTED or stopped.is_set():
                console.print("stopped; what is done is kept, and the same command again goes on")
                return INTERRUPTED
            if status != 0:
                console.print(f"{what}: ended with status {status}\n{error.strip()}")
                return status if status > 0 else 128 - status
            result = table.read_result(root / "out" / stage / "seeds" / str(seed) / "result.json")
            numbers = f"val {table.decimal(result['loss'].get('val'))} {result['unit']}"
            console.print(f"{what}: {numbers} ({table.duration(result['seconds'])} s)")
            progress.advance(bar, weights[stage])
    return 0


def choose(words, everything, stages):
    """The stages that --stages ("4,5" or None) and --all ask for. ValueError for an unknown one."""
    if words is None:
        return [stage for stage in stages if everything or not stage.startswith(LONG)]
    chosen = []
    for word in words.split(","):
        found = [stage for stage in stages if word.strip() in (stage, stage[:2], stage[1:2])]
        if not found:
            raise ValueError(f"--stages {words}: there is no stage {word.strip()!r}")
        chosen += found
    return sorted(set(chosen))


def main(arguments=None, root=ROOT):
    parser = argparse.ArgumentParser(prog="seeds", description="Run stages with several seeds.")
    parser.add_argument("--seeds", type=int, default=3, help="how many (default: 3)")
    parser.add_argument("--stages", help="such as 4,5 (default: all but stage 06)")
    parser.add_argument("--all", action="store_true", help="stage 06, too: minutes for each seed")
    parser.add_argument("--again", action="store_true", help="repeat the runs that are there")
    args = parser.parse_args(arguments)
    if not 1 <= args.seeds <= 1000:
        parser.error(f"--seeds {args.seeds} is out of range: give a number from 1 to 1000")
    try:
        stages = choose(args.stages, args.all, table.stage_names(root))
        todo, there = plan(stages, args.seeds, args.again, root)
    except ValueError as error:
        parser.error(str(error))
    console = Console(markup=False, emoji=False, highlight=False)
    console.print(f"{len(todo)} runs to do, {there} are there already (--again repeats them)")
    # The terminal sends Ctrl-C to the run as well: it ends in its own time, and this one waits.
    stopped = threading.Event()
    previous = signal.signal(signal.SIGINT, lambda *_: stopped.set())
    try:
        status = run_all(todo, console, stopped, root)
    finally:
        signal.signal(signal.SIGINT, previous)
    console.print("python run.py table shows each stage's mean and standard deviation")
    return status


if __name__ == "__main__":
    sys.exit(main())
