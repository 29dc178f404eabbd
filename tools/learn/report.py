"""What the learner sees: failures, progress, tables beside each other."""

import os

from rich.console import Console, Group
from rich.markdown import Markdown
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from learn.exercises import short


def make_console():
    """A console that takes texts as they are and does not break lines that programs may read."""
    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 100
    return console


def print_open(console, lesson, name, failure, folder, verbose=False):
    """The exercise at which a check ended: its failure, or its task if it is still blank."""
    if failure.get("blank"):
        console.print(Text.assemble(("  next    ", "bold"), (where(failure, folder), "dim")))
        console.print(Padding(task(lesson, lesson.exercise(name)), (0, 0, 1, 10)))
    else:
        print_failure(console, name, failure, folder, verbose)


def print_failure(console, name, failure, folder, verbose=False):
    """Four lines: the call, what came, what was expected, where. Then what to think about."""
    console.print(Text.assemble(("  failed  ", "bold red"), (name or "", "bold")))
    lines = {
        "call": failure.get("call"),
        "came": failure.get("came"),
        "expected": expected_line(failure),
        "line": where(failure, folder),
        "code": failure.get("code"),
    }
    for label, text in lines.items():
        if text:
            console.print(Text.assemble((f"    {label:<10}", "dim"), text), soft_wrap=True)
    if failure.get("picture"):
        console.print(Padding(picture(failure["picture"]), (1, 0, 1, 4)))
    if failure.get("words"):
        console.print(Padding(Text(failure["words"], "yellow"), (0, 0, 0, 4)))
    if failure.get("printed"):
        console.print(Text("    Your code printed:", "dim"))
        for line in failure["printed"].rstrip().splitlines()[-8:]:
            console.print(Text(f"      {line}"), soft_wrap=True)
    if verbose and failure.get("traceback"):
        console.print(Text(failure["traceback"]), soft_wrap=True)


def expected_line(failure):
    by = f"   ({failure['by']})" if failure.get("by") else ""
    return f"{failure['expected']}{by}" if failure.get("expected") else ""


def where(failure, folder):
    """my/03_bigram_learned/main.py:58, which many terminals open with a click."""
    line = failure.get("line")
    return f"{short(folder)}/{line}" if line else ""


def picture(tables):
    """Two tables of numbers beside each other; cells that differ are red and have a star."""
    wrong = tables["wrong"]
    came = grid(tables["came"], wrong, "*", "red")
    expected = grid(tables["expected"], wrong, " ", "green")
    both = Table.grid(padding=(0, 4))
    both.add_row(Text("your result (* differs)", "dim"), Text("expected", "dim"))
    both.add_row(came, expected)
    return both


def grid(rows, wrong, mark, style):
    """A table of texts; those that are wrong get the mark and the style."""
    table = Table.grid(padding=(0, 1))
    for _ in rows[0]:
        table.add_column(justify="right")
    for row, flags in zip(rows, wrong):
        cells = [Text(x + mark, style) if bad else Text(f"{x} ") for x, bad in zip(row, flags)]
        table.add_row(*cells)
    return table


def bar(lesson, passed):
    """██████░░ 6 of 8"""
    done = len([name for name in lesson.names if name in passed])
    total = len(lesson.names)
    return f"{'█' * done}{'░' * (total - done)} {done} of {total}"


def task(lesson, exercise):
    """The text of an exercise: what to write, and where."""
    place = f": only the block below {exercise.inside}" if exercise.inside else ""
    number = lesson.names.index(exercise.name) + 1
    head = Text(f"Exercise {number} of {len(lesson.names)}: {exercise.name}", "bold")
    file = Text(f"write {exercise.function} in {exercise.file}{place}", "dim")
    return Group(head, file, Text(), Markdown(exercise.task))
