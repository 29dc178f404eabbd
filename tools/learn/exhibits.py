"""The failure museum: exercises/museum/NAME.toml, and how to run the broken code beside the sound.

An exhibit is a famous bug: a small change to the code of a stage or of an extra. It runs in a
temporary copy of the project, so that nothing it does stays behind.
"""

import difflib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from stages import ROOT, STAGES

from learn.exercises import FOLDER, Problem, tomllib
from visible import visible

MUSEUM = FOLDER / "museum"
CHILD = Path(__file__).resolve().parent / "run_exhibit.py"
STEP_LINE = re.compile(r"step +([\d,]+)(?: / [\d,]+)? \| (.+)")
LOSS = re.compile(r"((?:\w+ )?loss) (\S+)")


@dataclass(frozen=True)
class Patch:
    """What makes the sound code broken: in `file`, the text `before` becomes `after`."""

    file: str
    before: str
    after: str


@dataclass(frozen=True)
class Variant:
    """The same bug in an exercise, such as "03_bigram_learned log-softmax", and thus in my/."""

    exercise: str
    patches: tuple


@dataclass(frozen=True)
class Symptom:
    """A row of the table that an exhibit shows, and what must be in it.

    sound, broken: [lowest, highest] for a number, or a text that is equal; None: anything.
    """

    label: str
    sound: object = None
    broken: object = None


@dataclass(frozen=True)
class Exhibit:
    """One famous bug.

    file: the module to run. flags: if given, its main() runs with them; DATA stands for the path of
    the data. probe: Python code that runs afterwards, with the module at hand under its own name,
    and the folder of the run as FOLDER; each line "label: value" that it prints is a row of the
    table. curve: which printed loss to draw, such as "val loss".
    sound_flags: further flags for the sound code, if no patch makes the difference.
    data, names: the file of data/ that the code may read, and how many lines of it (0: all).
    public: where it happened, in words with links. seconds: about how long it takes.
    exercise: where a learner could write what the patches write, such as "03_bigram_learned
    log-softmax". variants: how a learner could write the same bug in other exercises.
    """

    name: str
    title: str
    file: str
    question: str
    choices: tuple
    answer: int  # counted from 1
    explanation: str
    public: str
    patches: tuple
    symptoms: tuple
    flags: tuple | None = None
    sound_flags: tuple = ()
    probe: str = ""
    curve: str = ""
    data: str = "names.txt"
    names: int = 0
    exercise: str = ""
    variants: tuple = ()
    seconds: int = 5

    def in_exercises(self):
        """Every way in which a learner could write the bug, as Variants."""
        own = [Variant(self.exercise, self.patches)] if self.exercise else []
        return [*own, *self.variants]


@dataclass(frozen=True)
class Outcome:
    """What a run printed: {label: text} and {label of a loss: [(step, loss), ...]}."""

    rows: dict
    curves: dict


# --- reading ---


def exhibit_names():
    return sorted(path.stem for path in MUSEUM.glob("*.toml"))


def read_exhibit(name):
    """The Exhibit of this name; Problem if there is none."""
    name = name.replace("_", "-").lower()
    path = MUSEUM / f"{name}.toml"
    if not path.exists():
        raise Problem(f"there is no exhibit {name!r}: {', '.join(exhibit_names())}")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        more = {
            "patches": read_patches(table),
            "symptoms": tuple(Symptom(**symptom) for symptom in table.pop("symptom", [])),
            "variants": tuple(
                Variant(patches=read_patches(variant), **variant)
                for variant in table.pop("variant", [])
            ),
        }
        lists = {key: tuple(value) for key, value in table.items() if isinstance(value, list)}
        return Exhibit(name=name, **more, **{**table, **lists})
    except (tomllib.TOMLDecodeError, TypeError) as error:
        raise Problem(f"exercises/museum/{path.name}: {error}") from error


def read_patches(table):
    """Take the patches out of a table of the file."""
    return tuple(Patch(**patch) for patch in table.pop("patch", []))


# --- copying ---


def copy_project(root, exhibit):
    """Put the code of all stages and extras into the folder `root`, and the data of the exhibit."""
    for folder in (*STAGES, "extras"):
        (root / folder).mkdir(parents=True)
        for path in (ROOT / folder).glob("*.py"):
            shutil.copy(path, root / folder)
    (root / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "stages.py", root / "tools")
    lines = data_file(exhibit.data).read_text(encoding="utf-8").splitlines()
    lines = lines[: exhibit.names] if exhibit.names else lines
    (root / "data").mkdir()
    (root / "data" / exhibit.data).write_text("\n".join(lines) + "\n", encoding="utf-8")


def data_file(name):
    """The path of a file in data/, which is fetched if it is missing."""
    path = ROOT / "data" / name
    if not path.exists():
        subprocess.call([sys.executable, ROOT / "data" / "prepare.py", path.stem], stdout=2)
    if not path.exists():
        raise Problem(f"data/{name} is missing; to get it: make data ARGS={path.stem}")
    return path


def apply_patches(root, patches):
    """Break the copy in `root`. ValueError if a text to replace does not occur exactly once."""
    for patch in patches:
        path = root / patch.file
        path.write_text(patched(patch, path.read_text(encoding="utf-8")), encoding="utf-8")


def patched(patch, source):
    """The source of patch.file with the bug in it."""
    count = source.count(patch.before)
    if count != 1:
        raise ValueError(f"{patch.before!r} occurs {count} times in {patch.file}")
    return source.replace(patch.before, patch.after)


def changed_lines(patch):
    """The whole lines that a patch changes: (those of the sound code, those of the broken code)."""
    source = (ROOT / patch.file).read_text(encoding="utf-8")
    matcher = difflib.SequenceMatcher(
        None, source.splitlines(), patched(patch, source).splitlines(), autojunk=False
    )
    sound, broken = [], []
    for kind, start, end, new_start, new_end in matcher.get_opcodes():
        if kind != "equal":
            sound += matcher.a[start:end]
            broken += matcher.b[new_start:new_end]
    return sound, broken


def make_copy(root, exhibit, broken):
    """Make the copy that run_exhibit.py runs. Returns what it has to know, as a dict for JSON."""
    copy_project(root, exhibit)
    if broken:
        apply_patches(root, exhibit.patches)
    flags = exhibit.flags
    if flags is not None:
        flags = flags if broken else (*flags, *exhibit.sound_flags)
        data = str(root / "data" / exhibit.data)
        flags = [data if flag == "DATA" else flag for flag in flags]
    return {"root": str(root), "file": exhibit.file, "flags": flags, "probe": exhibit.probe}


# --- running ---


def run_both(exhibit):
    """Run the sound code and the broken code at the same time. Returns their Outcomes."""
    data_file(exhibit.data)  # once, before two copies want it
    with ThreadPoolExecutor() as pool:
        sound, broken = pool.map(lambda broken: run_copy(exhibit, broken), (False, True))
    return sound, broken


def run_copy(exhibit, broken):
    with tempfile.TemporaryDirectory(prefix="museum-") as folder:
        job = make_copy(Path(folder), exhibit, broken)
        # One thread each: the two run at the same time.
        env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
        done = subprocess.run(
            [sys.executable, "-I", CHILD], input=json.dumps(job), capture_output=True,
            encoding="utf-8", env=env,
        )  # fmt: skip
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["it printed nothing"]
        raise Problem(f"the run of {exhibit.name} broke off: {visible(last[0])}")
    return parse(visible(done.stdout, "\n"))


def parse(printed):
    """The Outcome in what a stage and a probe printed.

    Rows come from lines "label: value"; the losses at the end of a run become the rows "train
    loss", "val loss" and "test loss". Curves come from the lines "step 10 / 100 | val loss 2.4".
    """
    rows, curves = {}, {}
    for line in printed.splitlines():
        step = STEP_LINE.fullmatch(line.strip())
        if step:
            for label, loss in LOSS.findall(step[2]):
                point = int(step[1].replace(",", "")), float(loss)
                curves.setdefault(label, []).append(point)
        elif line.startswith("loss in "):
            for split, loss in re.findall(r"(train|val|test) (\S+?)(?:,| |$)", line):
                rows[f"{split} loss"] = loss
        elif ": " in line:
            label, _, value = line.partition(": ")
            rows[label] = value.strip()
    return Outcome(rows, curves)


def fits(value, expected):
    """Whether a row's text lies in a band [low, high], or equals a text. None expects nothing."""
    if expected is None or isinstance(expected, str):
        return expected in (None, value)
    try:
        return expected[0] <= float(value) <= expected[1]
    except (TypeError, ValueError):
        return False
