"""Run stages with several seeds, so that the loss table can show how much chance moves a loss.

    python3 run.py seeds [--seeds 3] [--stages 4,5] [--all] [--again]

The seeds are the stage's default and the ones after it. Each run has a folder of its own,
out/STAGE/seeds/SEED, and the PyTorch twin of stage 05 has one below it. A run is repeated if it is
incomplete or comes from different code, so that no average mixes two versions. The code is the
stage's Python files, requirements.txt and data/names.txt.
"""

import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading

import stages

import table
from atomic_write import write_atomically
from command_line import Parser, run_tool
from progress_bar import track
from table_rows import read_result
from visible import visible

PROGRAMS = {"main.py": ".", "torch_twin.py": "twin"}  # file of a stage: where its result goes
LONG = "06"  # takes minutes per run, so it needs --all or --stages 6
STAMP = "code.txt"  # written last, with the code's hash: the run beside it is complete
INTERRUPTED = 130  # how a stage ends after Ctrl-C
STARTING = 3  # seconds that a run takes in addition to its training, for the time left


def code_hash(stage):
    """The hash of everything that decides a run of this stage, except its flags."""
    files = sorted((stages.ROOT / stage).glob("*.py"))
    files += [stages.ROOT / "requirements.txt", stages.ROOT / "data" / "names.txt"]
    content = b"".join(f"{p.name}\n".encode() + p.read_bytes() for p in files if p.exists())
    return hashlib.sha256(content).hexdigest()


def default_seed(stage):
    """The seed that the stage's Config has by default."""
    fields = dataclasses.fields(stages.load_stage(stage).Config)
    return {field.name: field.default for field in fields}["seed"]


def folder_of(stage, seed):
    return stages.ROOT / "out" / stage / "seeds" / str(seed)


def plan(names, count, again):
    """Return (runs to do, number of runs done) for these stages. A run is (stage, seed)."""
    todo, done = [], 0
    for stage in names:
        first, code = default_seed(stage), code_hash(stage)
        folders = folder_of(stage, first).parent.glob("*")
        old = {int(folder.name) for folder in folders if folder.name.isdecimal()}
        for seed in sorted({*range(first, first + count), *old}):
            folder = folder_of(stage, seed)
            stamp = folder / STAMP
            same = stamp.exists() and stamp.read_text(encoding="utf-8").strip() == code
            if same and (folder / "result.json").exists() and not again:
                done += 1
            else:
                todo.append((stage, seed))
    return todo, done


def programs(stage):
    """The stage's programs, in the order in which they run: [(path, folder of its result)]."""
    found = [(stages.ROOT / stage / name, below) for name, below in PROGRAMS.items()]
    return [(path, below) for path, below in found if path.exists()]


def expected_seconds(stage):
    """How long the reference run of the stage took."""
    total = 0
    for _, below in programs(stage):
        path = stages.ROOT / "results" / stage / below / "result.json"
        seconds = json.loads(path.read_text(encoding="utf-8"))["seconds"] if path.exists() else 0
        total += seconds + STARTING
    return total


def run_once(stage, seed):
    """Run the stage's programs into their folders; return (status, what was written to stderr)."""
    folder, code = folder_of(stage, seed), code_hash(stage)
    (folder / STAMP).unlink(missing_ok=True)
    for path, below in programs(stage):
        done = subprocess.run(
            [sys.executable, path, "--seed", str(seed), "--out", folder / below],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env={**os.environ, "PYTHONUTF8": "1"},
        )
        if done.returncode != 0:
            return done.returncode, done.stderr
    write_atomically(folder / STAMP, code + "\n")
    return 0, ""


def name_of(run):
    stage, seed = run
    return f"{stage}, seed {seed}"


def run_all(todo, stopped):
    """Do the runs one after another and show the time left; return the exit status."""
    for stage, seed in track(todo, name_of, weight=lambda run: expected_seconds(run[0])):
        what = name_of((stage, seed))
        status, error = run_once(stage, seed)
        if status == INTERRUPTED or stopped.is_set():
            print("stopped; finished runs are kept, and the same command continues", flush=True)
            return INTERRUPTED
        if status != 0:
            last = error.strip().rpartition("\n")[2]
            print(visible(f"{what}: ended with status {status}: {last}"), flush=True)
            return status if status > 0 else 128 - status
        try:
            result = read_result(folder_of(stage, seed) / "result.json")
        except ValueError as error:
            print(visible(f"{what}: its result.json cannot be used: {error}"), flush=True)
            return 1
        numbers = f"val {table.decimal(result['loss'].get('val'))} {result['unit']}"
        print(f"{what}: {numbers} ({table.duration(result['seconds'])} s)", flush=True)
    return 0


def choose(words, everything):
    """The stages that --stages ("4,5" or None) and --all ask for. ValueError for an unknown one."""
    if words is None:
        return [stage for stage in stages.STAGES if everything or not stage.startswith(LONG)]
    chosen = set()
    for word in words.split(","):
        found = [s for s in stages.STAGES if word.strip() in (s, s[:2], s[1:2])]
        if not found:
            raise ValueError(f"--stages {words}: there is no stage {word.strip()!r}; give 1 to 6")
        chosen.update(found)
    return sorted(chosen)


def main(arguments=None):
    parser = Parser(prog="seeds", description="Run stages with several seeds.")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds (default: 3)")
    parser.add_argument("--stages", help="such as 4,5 (default: all but stage 06)")
    parser.add_argument("--all", action="store_true", help="also stage 06: minutes per seed")
    parser.add_argument("--again", action="store_true", help="repeat finished runs")
    args = parser.parse_args(arguments)
    if not 1 <= args.seeds <= 1000:
        parser.error(f"--seeds {args.seeds} is out of range: give a number from 1 to 1000")
    try:
        todo, done = plan(choose(args.stages, args.all), args.seeds, args.again)
    except ValueError as error:
        parser.error(str(error))
    minutes = sum(expected_seconds(stage) for stage, _ in todo) / 60
    print(f"{len(todo)} runs to do, {done} are done already (--again repeats them)", flush=True)
    if minutes > 1:
        print(f"about {minutes:.0f} minutes, from the seconds in results/", flush=True)
    # The terminal sends Ctrl-C to the run as well. The run ends in its own time; wait for it.
    stopped = threading.Event()
    previous = signal.signal(signal.SIGINT, lambda *_: stopped.set())
    try:
        status = run_all(todo, stopped)
    finally:
        signal.signal(signal.SIGINT, previous)
    print("make table shows each stage's mean and standard deviation")
    return status


if __name__ == "__main__":
    run_tool("seeds", main)
