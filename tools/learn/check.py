"""make check 3: check your code of stage 3, exercise by exercise. make check: your progress."""

import json
import os
import subprocess
import sys

from stages import ROOT, STAGES

from rich.markdown import Markdown
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from learn import progress
from learn.exercises import (
    all_lessons,
    find_lesson,
    parser,
    short,
    started,
)
from learn.report import bar, make_console, print_open
from learn.run_checks import run_checks
from visible import visible


def main(words):
    flags = parser("check", __doc__, stage=None)
    flags.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    flags.add_argument("--no-train", action="store_true", help="do not train the finished model")
    args = flags.parse_args(words)
    console = make_console()
    if args.stage is None:
        return show_progress(console, args.my)
    lesson = find_lesson(args.stage)
    folder = started(lesson, args.my)
    files = dict.fromkeys(exercise.file for exercise in lesson.exercises)
    console.print(f"checking {', '.join(short(folder / file) for file in files)}", style="dim")
    before = progress.read(args.my, lesson.stage).passed

    def tell(name):
        print_pass(console, lesson, args.my, lesson.exercise(name))

    outcome = run_checks(lesson, folder, tell=tell)
    passed = remember(lesson, args.my, outcome)
    if outcome.complete:
        return finish(console, lesson, args.my, train=not args.no_train)
    name, failure = first_failure(outcome)
    print_open(console, lesson, name, failure, folder, args.verbose)
    if name in before and not outcome.stop:
        console.print("    It passed before, so look at what you changed last.")
    if outcome.stop:
        console.print(f"Nothing could be checked. Before that: {bar(lesson, passed)} passed.")
    else:
        console.print(f"{bar(lesson, passed)} passed. Stuck? make hint {lesson.word}")
    return 1


def print_pass(console, lesson, my, exercise):
    """A line, and what the exercise teaches if that was not shown before."""
    console.print(Text.assemble(("  passed  ", "green"), exercise.name))
    explained = progress.read(my, lesson.stage).explained
    if exercise.name not in explained:
        console.print(Padding(Markdown(exercise.explanation), (0, 0, 1, 10)))
        progress.save(my, lesson.stage, explained=[*explained, exercise.name])


def first_failure(outcome):
    """(name, failure) to show. What keeps all from being checked has the name of its file."""
    if outcome.stop:
        return outcome.stop.get("line", "the check").split(":")[0], outcome.stop
    return next(iter(outcome.failures.items()))


def remember(lesson, my, outcome):
    """Write what has passed to progress.json, and return it.

    A syntax error keeps all from being checked, so it changes nothing.
    """
    if outcome.stop:
        return [n for n in progress.read(my, lesson.stage).passed if n in lesson.names]
    code = progress.fingerprint(my / lesson.stage)
    progress.save(my, lesson.stage, passed=outcome.passed, checked=code)
    return outcome.passed


def known_progress(lesson, my):
    """The Record of a stage. If there is none, because the file was lost, it checks first."""
    record = progress.read(my, lesson.stage)
    if not record.checked:
        remember(lesson, my, run_checks(lesson, my.resolve() / lesson.stage))
        record = progress.read(my, lesson.stage)
    return record


# --- after the last exercise ---


def finish(console, lesson, my, train):
    """Train the learner's own model, compare it with the reference, say what to read next.

    A set has no model.
    """
    count = len(lesson.names)
    console.print(f"\nAll {count} exercises of {lesson.title} pass.", style="bold")
    if not lesson.is_set:
        status = train_yours(console, lesson, my) if train else 0
        if status:
            return status
        compare(console, lesson, my)
    later = [stage for stage in STAGES if stage > lesson.stage]
    if lesson.next:
        console.print(lesson.next)
    elif later:
        number = int(later[0][:2])
        console.print(f"Read next: {later[0]}/README.md. Then rebuild it: make start {number}")
    return 0


def results_folder(lesson, my):
    """out/my/03_bigram_learned, where the learner's main.py writes its result."""
    return my.resolve().parent / "out" / "my" / lesson.stage


def train_yours(console, lesson, my):
    """Run the learner's main.py, unless its result is newer than the code. Returns the status."""
    folder, out = my.resolve() / lesson.stage, results_folder(lesson, my)
    result = out / "result.json"
    newest = max(path.stat().st_mtime for path in folder.glob("*.py"))
    if result.exists() and result.stat().st_mtime > newest:
        return 0
    console.print(f"Now your own code trains the model: {short(folder)}/main.py")
    if lesson.train:
        console.print("It is a smaller or shorter run than the reference, to save time.")
    console.print()
    command = [sys.executable, str(folder / "main.py"), *data_flag(lesson, my), *lesson.train]
    command.append(f"--out={out}")
    env = {**os.environ, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    status = subprocess.run(command, env=env).returncode
    if status:
        console.print(f"Your main.py ended with status {status}; the lines above say why.")
    return status


def data_flag(lesson, my):
    """The project's data, as the reference run had it, for a main.py that cannot find data/."""
    if my.resolve().is_relative_to(ROOT):
        return []
    dataset = read_result(ROOT / "results" / lesson.stage / "result.json").get("dataset", {})
    data = ROOT / "data" / f"{dataset.get('name')}.txt"
    return [f"--data={data}"] if data.exists() else []  # a stage may make its data itself


def compare(console, lesson, my):
    """Your losses beside those of the reference run in results/."""
    sides = {
        "yours": results_folder(lesson, my) / "result.json",
        "reference": ROOT / "results" / lesson.stage / "result.json",
    }
    losses = {name: read_result(path).get("loss", {}) for name, path in sides.items()}
    if not losses["yours"]:
        return
    table = Table(box=None, padding=(0, 3, 0, 0))
    table.add_column("loss")
    splits = [split for split, loss in losses["yours"].items() if loss is not None]
    for split in splits:
        table.add_column(visible(split), justify="right")
    for name, by_split in losses.items():
        if by_split:
            numbers = [by_split.get(split) for split in splits]
            table.add_row(name, *("" if x is None else f"{x:.4f}" for x in numbers))
    console.print()
    console.print(table)
    note = f" (with {' '.join(lesson.train)})" if lesson.train else ""
    if sides["yours"].is_relative_to(ROOT / "out"):
        console.print(f"make table shows your result, too{note}.")
    if lesson.train:
        main = short(my.resolve() / lesson.stage / "main.py")
        console.print(f"To train the same model as the reference: python {main}")
    console.print()


def read_result(path):
    """The content of a result.json; {} if there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


# --- all stages and sets ---


def show_progress(console, my):
    """A line for each stage and each set: how many exercises passed, and what comes next."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for lesson in all_lessons():
        record = progress.read(my, lesson.stage)
        passed = [name for name in lesson.names if name in record.passed]
        table.add_row(lesson.stage, bar(lesson, passed), next_step(lesson, my, record, passed))
    console.print(table)
    return 0


def next_step(lesson, my, record, passed):
    folder, word = my / lesson.stage, lesson.word
    if not folder.is_dir():
        return f"to begin: make start {word}"
    if record.checked != progress.fingerprint(folder):
        return f"changed since the last check: make check {word}"
    exercise = lesson.first_open(passed)
    return f"next: {exercise.name}" if exercise else "done"
