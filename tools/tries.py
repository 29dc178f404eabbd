"""Run what the lessons suggest under "Try this", and keep the numbers for docs/answers.md.

    python3 run.py tries [NAME ...] [--again]

The tries are in tools/tries.toml. Each one runs in a temporary copy of the project, because some of
them change the code, as the exhibits of the museum do. Its losses, curve and samples, and what its
probe prints, go to results/tries/NAME.json. A try that is there already runs again with --again or
if its entry has changed. So after Ctrl-C, the same command continues. At the end,
`python3 run.py readme` fills the page.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

from stages import ROOT

from atomic_write import write_atomically
from command_line import Parser, fail, run_tool
from learn.exercises import Problem, tomllib
from learn.exhibits import CHILD, Patch, apply_patches, copy_project, data_file, parse
from table_rows import read_result

LIST = ROOT / "tools" / "tries.toml"
KEPT = ROOT / "results" / "tries"
PROBE = "---- probe ----"  # the run prints it between what main() prints and what the probe prints
PENDING = "pending"  # what a page says until the try has run


@dataclass(frozen=True)
class Try:
    """One run of tools/tries.toml, where the keys are explained."""

    name: str
    what: str
    file: str
    seconds: int
    flags: tuple | None = None
    data: str = "names.txt"
    probe: str = ""
    patches: tuple = ()
    names: int = 0  # use all lines of the data

    @property
    def definition(self):
        """What decides the numbers of the run, as JSON gives it back."""
        fields = asdict(self)
        return json.loads(json.dumps({k: fields[k] for k in ("file", "flags", "probe", "patches")}))


def read_tries():
    """{name: Try}, in the order of the file."""
    tries = {}
    for table in tomllib.loads(LIST.read_text(encoding="utf-8"))["try"]:
        patches = tuple(Patch(**patch) for patch in table.pop("patch", []))
        flags = tuple(table.pop("flags")) if "flags" in table else None
        tries[table["name"]] = Try(**table, flags=flags, patches=patches)
    return tries


# --- running ---


def is_done(one, kept=KEPT):
    path = kept / f"{one.name}.json"
    return path.exists() and read_json(path)["try"] == one.definition


def run_try(one):
    """Run it in a copy. Returns what goes to results/tries: the result, and what the probe printed.

    Raises Problem if the run breaks off or was stopped.
    """
    data_file(one.data)
    with tempfile.TemporaryDirectory(prefix="try-") as folder:
        root = Path(folder).resolve()
        copy_project(root, one)
        apply_patches(root, one.patches)
        flags = one.flags
        if flags is not None:
            path = str(root / "data" / one.data)
            flags = [path if flag == "DATA" else flag for flag in flags]
            flags += ["--out", str(root / "run")]
        probe = f"print({PROBE!r})\n{one.probe}"
        job = {"root": str(root), "file": one.file, "flags": flags, "probe": probe}
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-I", CHILD], input=json.dumps(job), capture_output=True,
            encoding="utf-8", env={**os.environ, "PYTHONUTF8": "1"},
        )  # fmt: skip
        wall = time.perf_counter() - began
        rows = parse(done.stdout.rpartition(PROBE)[2]).rows
        if done.returncode or "error" in rows:
            last = done.stderr.strip().splitlines()[-1:] or [rows.get("error")]
            raise Problem(f"{one.name} broke off: {last[0]}")
        result = {} if flags is None else read_json(root / "run" / "result.json")
    if result.get("interrupted"):
        raise Problem(f"{one.name} was stopped")
    printed = {label: number(value) for label, value in rows.items()}
    return {"try": one.definition, "wall": round(wall, 1), "probe": printed, **result}


def read_json(path):
    """The JSON in a file. Raises OSError and, for a broken file, ValueError.

    Its texts stay as they are, while read_result() turns a line end into a space.
    """
    return json.loads(path.read_text(encoding="utf-8"))


def number(text):
    """A number or a text that a probe printed. A text of several lines comes as JSON."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, (int, float, str)) else text


def summary(kept):
    """One line on a try that has run."""
    loss = kept.get("loss", {})
    numbers = [f"{split} {value:.4f}" for split, value in loss.items() if value is not None]
    return f"{', '.join(numbers) or 'done'} ({kept['wall']:.0f} s)"


def main(arguments=None):
    parser = Parser(prog="tries", description='Run what "Try this" suggests.')
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these; 04: all of a stage")
    parser.add_argument("--again", action="store_true", help="also those that have run")
    args = parser.parse_args(arguments)
    tries = read_tries()
    chosen = [
        one for name, one in tries.items()
        if not args.names or any(name == word or name[:2] == word for word in args.names)
    ]  # fmt: skip
    unknown = [w for w in args.names if w not in tries and w not in {name[:2] for name in tries}]
    if unknown:
        parser.error(f"there is no try {unknown[0]!r}; give one of {', '.join(tries)}")
    todo = [one for one in chosen if args.again or not is_done(one)]
    print(f"{len(todo)} tries to run, {len(chosen) - len(todo)} are done", flush=True)
    began, expected = time.perf_counter(), 0
    for count, one in enumerate(todo, 1):
        left = sum(other.seconds for other in todo[count - 1 :])
        if expected:  # as fast as those before it
            left *= (time.perf_counter() - began) / expected
        about = timedelta(seconds=round(left))
        print(f"{count} of {len(todo)}: {one.name}; all take another {about}", flush=True)
        try:
            kept = run_try(one)
        except Problem as problem:
            fail("tries", str(problem))
            return 1
        except KeyboardInterrupt:
            print("stopped; what has run is kept, and the same command continues", file=sys.stderr)
            return 130
        content = json.dumps(kept, indent=1, ensure_ascii=False)
        write_atomically(KEPT / f"{one.name}.json", content + "\n")
        print(f"    {summary(kept)}", flush=True)
        expected += one.seconds
    print("make readme fills docs/answers.md", flush=True)
    return 0


# --- the numbers on the page ---


def read(results, name):
    """The content of results/tries/NAME.json, or of a stage's result.json. OSError if missing."""
    if name in read_tries():
        return read_json(results / "tries" / f"{name}.json")
    return read_result(results / name / "result.json")


def find(results, name, path):
    """A number of a run: a dotted path in its result, with _ for spaces, or one of DERIVED.

    KeyError if it is not there.
    """
    value = read(results, name)
    if path in DERIVED:
        return DERIVED[path](value)
    for key in path.split("."):
        value = value[key if key in value else key.replace("_", " ")]
    return value


def last_five(run):
    return [val for _, _, val in run["curve"][-5:]]


def first_names(samples):
    return ", ".join(name or "(no letter)" for name in samples[:5])


DERIVED = {
    "gap": lambda run: run["loss"]["val"] - run["loss"]["train"],
    "first": lambda run: run["curve"][0][2],  # the val loss before the training
    "batch": lambda run: run["curve"][-1][1],  # the mean loss of the last batches
    "highest": lambda run: max(row[2] for row in run["curve"][1:]),
    "last_five": lambda run: ", ".join(f"{val:.3f}" for val in last_five(run)),
    "names": lambda run: first_names(run["samples"]),
    "names_at_temperature": lambda run: first_names(run["samples_at_temperature"]),
}


def look_up(results, marker):
    """The text for a marker such as "try 04-context-8 loss.val .3f".

    "try 04-context-8 loss.val - 04_embedding_mlp loss.val .3f" is a difference. PENDING if a try
    has not run.
    """
    words = marker.split(" ")[1:]
    terms, spec = " ".join(words[:-1]).split(" - "), words[-1]
    values = []
    for term in terms:
        name, _, path = term.partition(" ")
        try:
            values.append(find(results, name, path))
        except FileNotFoundError:
            if name not in read_tries():
                raise
            return PENDING
    if len(values) == 2:
        return format(values[0] - values[1], spec)
    return format(values[0], spec)


def duration(seconds):
    """A rough time: 8 s, 80 s, 3 min."""
    return f"{max(1, round(seconds))} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def table_rows(results, stage):
    """The stage's own run, and its tries: (what, train, val, about how long on an idle machine)."""
    own = ["05_microgpt", "05_microgpt/twin"] if stage.startswith("05") else [stage]
    for name in own:
        run = read(results, name)
        label = "the twin as it is" if name.endswith("twin") else "the stage as it is"
        yield label, *losses(run), duration(run["seconds"])
    for one in read_tries().values():
        if one.name[:2] == stage[:2] and one.flags is not None:
            try:
                run = read(results, one.name)
            except FileNotFoundError:
                yield one.what, PENDING, PENDING, PENDING
                continue
            yield one.what, *losses(run), duration(one.seconds)


def losses(run):
    return [loss_text(run["loss"][split]) for split in ("train", "val")]


def loss_text(loss):
    """JSON has no infinity, so a result has null in its place."""
    return "infinite" if loss is None or math.isinf(loss) else f"{loss:.3f}"


def text_block(results, words):
    """A text that a probe drew, cut to 200 characters. words: a try, and the label of the text."""
    name, _, label = words.partition(" ")
    try:
        text = read(results, name)["probe"][label]
    except FileNotFoundError:
        text = PENDING
    lines = [line.rstrip() for line in text[:200].strip("\n").split("\n")]
    return "```text\n" + "\n".join(lines) + "\n```"


if __name__ == "__main__":
    run_tool("tries", main)
