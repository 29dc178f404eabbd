"""Measure the speed of the stages: ratios side by side, and losses within a time limit.

    python3 run.py bench [--published microgpt.py] [--nanogpt FOLDER] [--runs 3] [--only NAME ...]

Each line shows the median of its runs. Seconds differ from machine to machine, so the limits on
times are multiples of N: the time that nanoGPT's CPU recipe takes on the same machine, measured
first, by the line `nanogpt-cpu`.

Some lines compare with other programs and are left out without them: --published is the script of
the microgpt article, --nanogpt a copy of nanoGPT's repository, and the line `engine` needs the
package micrograd. Without --nanogpt there is no N, so the limits on times are not judged.

Results go to out/bench.json. `make reference` copies them to results/bench/, which has one file
for each machine.
"""

import datetime
import importlib.util
import json
import os
import pickle
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stages import ROOT

from rich.console import Console
from rich.table import Table

from atomic_write import write_atomically
from command_line import Parser, run_tool
from progress_bar import track
from visible import visible

STEP = re.compile(rb"step +([\d,]+) / +[\d,]+ ")  # as the published microgpt and stage 05 print it
SCORED = re.compile(r"step \d+: train loss [\d.]+, val loss ([\d.]+)")  # as nanoGPT prints it
NANOGPT_CPU = (
    "--device=cpu --compile=False --eval_iters=20 --log_interval=100 --block_size=64 "
    "--batch_size=12 --n_layer=4 --n_head=4 --n_embd=128 --max_iters=2000 --lr_decay_iters=2000 "
    "--dropout=0.0"
)
N_LINE = "nanogpt-cpu"  # the line that measures N
IN_SECONDS, IN_N = "seconds", "times N"  # how the names of a time and of its multiple of N begin
ALL_MET = "every bar that was measured is met"
WITHOUT_N = "N, the time of nanoGPT's CPU recipe: --nanogpt FOLDER"


@dataclass(frozen=True)
class Line:
    name: str
    what: str
    measure: Callable[..., dict]  # {quantity: number} of one run
    bars: dict  # {quantity: (whether the number is a minimum, number)}
    long: bool = False  # over a minute
    takes_n: bool = False  # measure() gets N, in seconds

    @property
    def runs(self):
        """How many, unless --runs says otherwise. N has three: other times are divided by it."""
        return 1 if self.long and self.name != N_LINE else 3

    @property
    def needs_n(self):
        return self.takes_n or any(key.startswith(IN_N) for key in self.bars)


class Missing(Exception):
    """A line cannot be measured here. The message says what it needs."""


class Failed(Exception):
    """A program that was measured failed. The message says which one and why, in one line."""


# --- children ---


def child(*command, cwd=None, **environment):
    """Run Python with these arguments and return what it prints. Failed if it fails."""
    env = {**os.environ, "PYTHONUTF8": "1", **environment}
    command = [sys.executable, *map(str, command)]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, encoding="utf-8")
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        raise Failed(f"{Path(command[1]).name} ended with status {done.returncode}: {last}")
    return done.stdout


def stage(script, *flags):
    """Run a script of a stage into a temporary folder and return its result.json."""
    with tempfile.TemporaryDirectory() as out:
        child(ROOT / script, *flags, "--out", out)
        return json.loads((Path(out) / "result.json").read_text(encoding="utf-8"))


def seconds_per_step(script, first, last, *flags, cwd=None):
    """Run a script from one printed step to another; return the mean time of a step between."""
    command = [sys.executable, "-u", str(script), *map(str, flags)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "bufsize": 0}
    with subprocess.Popen(command, cwd=cwd, **pipes) as process:
        printed, times = b"", {}
        while last not in times:
            more = process.stdout.read(1 << 16)
            if not more:
                said = printed.decode(errors="replace").strip().rpartition("\n")[2]
                raise Failed(f"{script.name} ended before it printed step {last}: {said}")
            now = time.perf_counter()
            printed += more
            for step in STEP.findall(printed):
                times.setdefault(int(step.replace(b",", b"")), now)
        process.kill()
    return (times[last] - times[first]) / (last - first)


# --- what is measured ---


def start_up():
    seconds = {}
    with tempfile.TemporaryDirectory() as out:
        for name, command in {
            "python main.py": ("02_bigram_counts/main.py",),
            "run.py stage 2": ("run.py", "stage", "2"),
        }.items():
            begin = time.perf_counter()
            child(ROOT / command[0], *command[1:], "--out", out)
            seconds[f"seconds of {name}"] = time.perf_counter() - begin
    return seconds


def engine():
    if importlib.util.find_spec("micrograd") is None:
        raise Missing("pip install micrograd")
    return json.loads(child(ROOT / "tools/engine_race.py"))


def scalar(published):
    """Both train on the same names in the same order, so both do the same work in a step.

    main.py switches Python's garbage collector off. The published script runs twice: as it is, with
    the collector on, and with the collector off. Then it never frees a graph and takes 1.5 GB.
    """
    with tempfile.TemporaryDirectory() as folder:
        script = need(published, "--published microgpt.py").read_text(encoding="utf-8")
        as_it_is, collector_off = Path(folder) / "microgpt.py", Path(folder) / "collector_off.py"
        as_it_is.write_text(script, encoding="utf-8")
        collector_off.write_text(f"import gc\ngc.disable()\n{script}", encoding="utf-8")
        names = ROOT / "data/makemore.txt"
        if not names.exists():
            child(ROOT / "data/prepare.py", "makemore")
        shutil.copyfile(names, Path(folder) / "input.txt")
        theirs = seconds_per_step(as_it_is, 1, 100, cwd=folder)
        theirs_off = seconds_per_step(collector_off, 1, 100, cwd=folder)
        flags = ("--published", "--steps", 1000, "--out", folder)
        ours = seconds_per_step(ROOT / "05_microgpt/main.py", 1, 100, *flags)
    lengths = [len(name) + 1 for name in names.read_text(encoding="utf-8").split()]
    chars = statistics.mean(lengths) / theirs  # a second
    twin = stage("05_microgpt/torch_twin.py")
    return {
        "times as fast": theirs / ours,
        "times as fast, collector off in both": theirs_off / ours,
        "published, s for 1000 steps": 1000 * theirs,
        "published, collector off, s for 1000 steps": 1000 * theirs_off,
        "main.py, s for 1000 steps": 1000 * ours,
        "twin, times the characters a second": twin["chars_seen"] / twin["seconds"] / chars,
        "twin, characters a second": twin["chars_seen"] / twin["seconds"],
    }


# A child's peak includes what its parent held when the child began, so the parent must be small.
MEMORY = """
import resource, subprocess, sys
subprocess.run([sys.executable, *sys.argv[1:]], check=True)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print("peak", peak / (1 << 20 if sys.platform == "darwin" else 1 << 10))  # bytes there
"""


def memory():
    if sys.platform == "win32":
        raise Missing("a system that counts the memory of a process: Linux or macOS")
    main = ROOT / "05_microgpt/main.py"
    with tempfile.TemporaryDirectory() as out:
        flags = ("--steps", 200, "--out", out)
        printed = child("-c", MEMORY, main, *flags)
    return {"MB at the peak": float(printed.split()[-1])}


def trained(script, *flags, size=False):
    """The val loss of the model that a run keeps, and its seconds of training; size: parameters."""
    result = stage(script, *flags)
    val = result.get("best", result["loss"])["val"]
    params = {"parameters": result["params"]} if size else {}
    return {"val loss": val, "seconds": result["seconds"], **params}


def shakespeare():
    """The path of the text. If it is missing, it is fetched here, before a clock runs."""
    path = ROOT / "data/tinyshakespeare.txt"
    if not path.exists():
        child(ROOT / "data/prepare.py", "tinyshakespeare")
    return path


def ladder():
    """A first run of all six stages, with the table and the pictures, after the installation."""
    shakespeare()
    with tempfile.TemporaryDirectory() as out:
        begin = time.perf_counter()
        child(ROOT / "run.py", "stages", "--out", out)
        seconds = time.perf_counter() - begin
        path = Path(out) / "06_shakespeare_gpt/result.json"
        result = json.loads(path.read_text(encoding="utf-8"))
    return {"val loss of stage 06": result["best"]["val"], "seconds": seconds}


def nanogpt(folder, *flags):
    """Run nanoGPT's recipe for Tiny Shakespeare in a copy; return seconds and best val loss."""
    import numpy as np

    source = need(folder, "--nanogpt FOLDER")
    with tempfile.TemporaryDirectory() as work:
        for name in ("train.py", "model.py", "configurator.py", "config/train_shakespeare_char.py"):
            (Path(work) / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(source / name, Path(work) / name)
        data = Path(work) / "data/shakespeare_char"
        data.mkdir(parents=True)
        text = shakespeare().read_text(encoding="utf-8")
        chars = sorted(set(text))
        stoi = {ch: i for i, ch in enumerate(chars)}
        ids = np.array([stoi[ch] for ch in text], dtype=np.uint16)
        n = int(0.9 * len(ids))
        ids[:n].tofile(data / "train.bin")
        ids[n:].tofile(data / "val.bin")
        meta = {"vocab_size": len(chars), "itos": dict(enumerate(chars)), "stoi": stoi}
        (data / "meta.pkl").write_bytes(pickle.dumps(meta))
        begin = time.perf_counter()
        printed = child("train.py", "config/train_shakespeare_char.py", *flags, cwd=work)
        seconds = time.perf_counter() - begin
    best = min(float(val) for val in SCORED.findall(printed))
    return {"val loss": best, "seconds": seconds}


def in_the_same_time(n):
    return trained("06_shakespeare_gpt/main.py", "--minutes", f"{n / 60:.3f}")


def on_gpu(folder):
    import torch

    if not torch.cuda.is_available():
        raise Missing("a GPU that CUDA can use")
    ours = trained("06_shakespeare_gpt/main.py", "--preset", "lecture")
    theirs = nanogpt(folder)
    share = {"share of its time": ours["seconds"] / theirs["seconds"]}
    return {f"nanoGPT, {key}": value for key, value in theirs.items()} | ours | share


GENERATION = """
import json, time
from stages import load_stage

generate = load_stage("06_shakespeare_gpt", "generate").generate
GPT = load_stage("06_shakespeare_gpt", "model").GPT
import torch  # after the stage, which sets what PyTorch reads when it is imported

torch.manual_seed(0)
model = GPT(vocab_size=65, block_size=512, n_embd=128, n_head=2, n_layer=4, dropout=0.0).eval()
begin = time.perf_counter()
slow = list(model.generate([0], 500, top_k=1))
middle = time.perf_counter()
fast = list(generate(model, [0], 500, top_k=1))
end = time.perf_counter()
assert slow == fast
print(json.dumps({"times as fast": (middle - begin) / (end - middle)}))
"""


def generation():
    """model.py computes all positions again for every character, generate.py only the last one."""
    return json.loads(child("-c", GENERATION, PYTHONPATH=str(ROOT / "tools")))


def two_ranks():
    """The largest difference between the val losses of one process and of two."""
    flags = ["--device=cpu", "--dtype=float32", "--steps=20", "--eval-every=10"]
    flags += ["--n-embd=64", "--n-layer=2"]
    main = ROOT / "06_shakespeare_gpt/main.py"
    one = stage(main, *flags)
    with tempfile.TemporaryDirectory() as out:
        launch = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
        child(*launch, main, *flags, "--out", out, OMP_NUM_THREADS="1")
        two = json.loads((Path(out) / "result.json").read_text(encoding="utf-8"))
    pairs = zip(one["curve"], two["curve"])
    return {"largest difference of losses": max(abs(a[2] - b[2]) for a, b in pairs)}


def need(path, flag):
    if path is None:
        raise Missing(flag)
    return path


def lines(published, folder):
    """All lines, and the one that measures N comes first.

    A line that comes to measure something else gets a new name, because the reports of other
    machines have its old figures under the old name.
    """
    at_least, at_most = True, False
    mlp, twin = "04_embedding_mlp/main.py", "05_microgpt/torch_twin.py"
    gpt = "06_shakespeare_gpt/main.py"
    there = 85  # N in seconds on the machine on which some limits were set in seconds
    return [
        Line(N_LINE, "N: nanoGPT's CPU recipe", lambda: nanogpt(folder, *NANOGPT_CPU.split()),
             {}, long=True),
        Line("start-up", "stage 02 from start to end", start_up, {
            "times N of python main.py": (at_most, 1.0 / there),
            "times N of run.py stage 2": (at_most, 1.5 / there),
        }),
        Line("engine", "nodes a second of stage 01's engine, over micrograd's", engine,
             {"ratio": (at_least, 3)}),
        Line("microgpt", "stage 05 beside the published script", lambda: scalar(published), {
            "times as fast": (at_least, 15),
            "times as fast, collector off in both": (at_least, 20),
            "twin, times the characters a second": (at_least, 5000),
        }),
        Line("memory", "stage 05, scalar", memory, {"MB at the peak": (at_most, 100)}),
        Line("mlp-3", "stage 04 with its 3 characters of context", lambda: trained(mlp),
             {"val loss": (at_most, 2.10), "times N": (at_most, 15 / there)}),
        Line("mlp-8", "stage 04 with 8 characters of context",
             lambda: trained(mlp, "--block-size", 8),
             {"val loss": (at_most, 2.00), "times N": (at_most, 20 / there)}),
        Line("twin-best", "stage 05's twin, --preset best",
             lambda: trained(twin, "--preset", "best"),
             {"val loss": (at_most, 1.97), "times N": (at_most, 120 / there)}, long=True),
        Line("modern-names", "the modern GPT on names",
             lambda: trained("extras/modern_names.py", size=True), {
                 "val loss": (at_most, 1.950),
                 "parameters": (at_most, 210_000),
                 "times N": (at_most, 1.5),
             }, long=True),
        Line("cached", "stage 06, time of 500 characters: no cache over cache", generation,
             {"times as fast": (at_least, 1)}),
        Line("two-ranks", "stage 06 on two processes against one", two_ranks,
             {"largest difference of losses": (at_most, 1e-5)}),
        Line("same-time", "stage 06 in the time N", in_the_same_time,
             {"val loss": (at_most, 1.66)}, long=True, takes_n=True),
        Line("preset-cpu", "stage 06, preset cpu", lambda: trained(gpt, "--preset", "cpu"),
             {"val loss": (at_most, 1.455), "times N": (at_most, 2.5)}, long=True),
        Line("modern", "the modern GPT on Shakespeare",
             lambda: trained("extras/modern_gpt.py"),
             {"val loss": (at_most, 1.42), "times N": (at_most, 2.95)}, long=True),
        Line("stages", "make stages, the whole ladder", ladder,
             {"val loss of stage 06": (at_most, 1.50), "times N": (at_most, 5.5)}, long=True),
        Line("lecture", "stage 06, preset lecture beside nanoGPT on the same GPU",
             lambda: on_gpu(folder),
             {"val loss": (at_most, 1.47), "share of its time": (at_most, 1 / 3)}, long=True),
    ]  # fmt: skip


# --- measuring and showing ---


def summarize(measured):
    """{quantity: {"median", "runs"}} of the runs of a line. measured: what measure() returned."""
    return {
        key: {"median": statistics.median(run[key] for run in measured),
              "runs": [run[key] for run in measured]}
        for key in measured[0]
    }  # fmt: skip


def in_n(bars, run, n):
    """The times of a run that have a bar as multiples of N. n: N in seconds, or None"""
    keys = [key for key in bars if key.startswith(IN_N)] if n else []
    return {key: run[key.replace(IN_N, IN_SECONDS, 1)] / n for key in keys}


def verdict(bars, quantities):
    """{quantity: whether its median meets its bar}. A quantity that was not measured has none."""
    return {
        key: quantities[key]["median"] >= bar if at_least else quantities[key]["median"] <= bar
        for key, (at_least, bar) in bars.items()
        if key in quantities
    }


def judged(line, row):
    """A row of a report, judged by the bars of today."""
    met = verdict(line.bars, row["quantities"])
    return {**row, "what": line.what, "bars": line.bars, "met": met}


def processor():
    """Its name, with the family and the model if the system tells, because one name has many."""
    try:
        about = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
        facts = dict(re.findall(r"^(.+?)\s*: (.+)$", about, re.MULTILINE))
        return f"{facts['model name']}, family {facts['cpu family']}, model {facts['model']}"
    except (OSError, ValueError, KeyError):  # not Linux, or not x86
        pass
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, encoding="utf-8").stdout.strip()
    return platform.processor() or platform.machine()


# A stage sets variables of the environment for PyTorch, so it must not be imported here: the
# programs that we compare with would inherit them.
DTYPE = """
from stages import load_stage

print(load_stage("06_shakespeare_gpt", "devices").pick_dtype("auto", "cpu"))
"""


def machine():
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    dtype = child("-c", DTYPE, PYTHONPATH=str(ROOT / "tools")).strip()
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "bfloat16": "yes" if dtype == "bfloat16" else "no",  # instructions of the processor
        "gpu": gpu,
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def file_name(about):
    """The file in results/bench/ for the reports of a machine."""
    words = f"{about['processor']} {about['cores']} cores {about['gpu'] or ''}"
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-") + ".json"


def number(value):
    if 0 < value < 1e-3:
        return f"{value:.0e}"
    return f"{value:.3f}" if value < 10 else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def limit(bar):
    at_least, value = bar
    return f"{'at least' if at_least else 'at most'} {number(value)}"


def show(results, console):
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), title_justify="left")
    for header in ("line", "what", "measured", "bar", "met"):
        table.add_column(header, justify="right" if header == "measured" else "left")
    for row in results:
        name, what, quantities = row["name"], row["what"], row["quantities"]
        for key in [*quantities, *(key for key in row["bars"] if key not in quantities)]:
            median = number(quantities[key]["median"]) if key in quantities else ""
            bar = limit(row["bars"][key]) if key in row["bars"] else ""
            met = {True: "yes", False: "NO", None: ""}[row["met"].get(key)]
            table.add_row(name, f"{what}: {key}", median, bar, met)
            name = ""
    console.print(table)


def shortfalls(rows):
    """What falls short of its bar: ["cpu: val loss 1.500 (at most 1.455)", ...]"""
    return [
        f"{row['name']}: {key} {number(row['quantities'][key]['median'])} "
        f"({limit(row['bars'][key])})"
        for row in rows
        for key, met in row["met"].items()
        if not met
    ]


def lacks_n(row):
    return any(key.startswith(IN_N) and key not in row["quantities"] for key in row["bars"])


def choose(every, only, has_n):
    """The lines to measure. N comes along if one of them needs it and it can be measured."""
    chosen = [line for line in every if not only or line.name in only]
    if has_n and any(line.needs_n for line in chosen):
        chosen = [line for line in every if line in chosen or line.name == N_LINE]
    return chosen


def measure(chosen, runs, keep):
    """Measure lines in turn and call keep(line, medians) after each. Returns whether none failed.

    runs: how many of each line; None: as many as each line asks for.
    """
    jobs = [(line, run) for line in chosen for run in range(1, (runs or line.runs) + 1)]
    measured, left_out, n, good = {}, set(), None, True
    for line, run in track(jobs, name_of, weight=lambda job: 100 if job[0].long else 5):
        if line.name in left_out:
            continue
        try:
            if line.takes_n and n is None:
                raise Missing(WITHOUT_N)
            quantities = line.measure(n) if line.takes_n else line.measure()
            quantities = {**quantities, **in_n(line.bars, quantities, n)}
        except Missing as missing:
            print(f"{line.name}: left out; it needs {missing}", flush=True)
            left_out.add(line.name)
            continue
        except (Failed, OSError, ValueError, KeyError) as error:
            print(visible(f"{line.name}: failed: {error}"), flush=True)
            left_out.add(line.name)
            good = False
            continue
        measured.setdefault(line.name, []).append(quantities)
        if run < (runs or line.runs):
            continue
        print(f"{line.name}: {run} runs done", flush=True)
        medians = summarize(measured[line.name])
        if line.name == N_LINE:
            n = medians[IN_SECONDS]["median"]
        keep(line, medians)
    return good


def main():
    parser = Parser(prog="bench", description="Measure the speed of the stages.")
    parser.add_argument("--published", type=Path, help="the script of the microgpt article")
    parser.add_argument("--nanogpt", type=Path, help="a copy of nanoGPT's repository")
    parser.add_argument("--runs", type=int,
                        help=f"runs of each line (default: 3; long lines, except {N_LINE}: 1)")
    parser.add_argument("--only", nargs="+", metavar="NAME",
                        help="measure only these lines, and keep this machine's other results")
    parser.add_argument("--out", type=Path, default=ROOT / "out/bench.json", help="the results")
    args = parser.parse_args()
    if args.published and not args.published.is_file():
        parser.error(f"--published {args.published}: there is no such file")
    if args.nanogpt and not (args.nanogpt / "train.py").is_file():
        parser.error(f"--nanogpt {args.nanogpt}: it has no train.py; give a copy of nanoGPT")
    if args.runs is not None and not 1 <= args.runs <= 1000:
        parser.error(f"--runs {args.runs} is out of range: give a number from 1 to 1000")
    if args.out.is_dir():
        parser.error(f"--out {args.out} is a folder: give a file")
    every = lines(args.published and args.published.resolve(), args.nanogpt)
    names = [line.name for line in every]
    if unknown := set(args.only or []) - set(names):
        parser.error(f"--only {min(unknown)}: the lines are {', '.join(names)}")
    console = Console(markup=False, highlight=False)
    about = machine()
    console.print(", ".join(f"{key} {value}" for key, value in about.items() if value))
    results = kept(args.out, about) if args.only else {}

    def rows():
        return [judged(line, results[line.name]) for line in every if line.name in results]

    def keep(line, medians):
        results[line.name] = {
            "name": line.name,
            "what": line.what,
            "date": datetime.date.today().isoformat(),
            "quantities": medians,
        }
        save(args.out, {"machine": about, "lines": rows()})

    good = measure(choose(every, args.only, args.nanogpt), args.runs, keep)
    show(rows(), console)
    without = [row["name"] for row in rows() if lacks_n(row)]
    if without:
        print(f"no times N of {', '.join(without)}: they need {WITHOUT_N}")
    short = shortfalls(rows())
    print(f"short of the bar: {'; '.join(short)}" if short else ALL_MET)
    return 0 if good and not short else 1


def name_of(job):
    line, run = job
    return f"{line.name}, run {run}"


def read_report(path):
    """The report in a file. Raises OSError and, for another content, ValueError."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        parts = [(report["machine"], ("processor", "cores", "bfloat16", "gpu"))]
        parts += [(row, ("name", "what", "date", "quantities")) for row in report["lines"]]
        complete = all(key in part for part, keys in parts for key in keys)
    except (ValueError, KeyError, TypeError):
        complete = False
    if not complete:
        raise ValueError(f"{path.name} is broken or of an older version: run make bench again")
    return report


def kept(path, about):
    """{name: line} of the report in a file, if this machine made it with these versions."""
    try:
        report = read_report(path)
        return {row["name"]: row for row in report["lines"] if report["machine"] == about}
    except (OSError, ValueError):
        return {}


def save(path, report):
    write_atomically(path, json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    run_tool("bench", main)
