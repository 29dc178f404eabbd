"""docs/arrays.md: its cells run, it names every exercise of the set, and its numbers are right."""

import re

import pytest
import torch

from learn.exercises import read_lesson
from stages import ROOT, load_stage

PAGE = (ROOT / "docs" / "arrays.md").read_text(encoding="utf-8")
LESSON = read_lesson("arrays")
PARTS = re.split(r"^## (?=\d)", PAGE.split("## What comes next")[0], flags=re.M)[1:]
CELL = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
DRAWING = re.compile(r"^```text\n(.*?)^```$", re.M | re.S)


@pytest.fixture(scope="module")
def names():
    """What the cells of the page define when they run from top to bottom."""
    found = {}
    for cell in CELL.findall(PAGE):
        exec(cell, found)
    return found


def test_the_cells_run_and_check_something(names):
    assert torch.equal(names["W"].grad, 2 * names["x"])
    for part in PARTS:
        assert "assert " in "".join(CELL.findall(part)), part.splitlines()[0]


def test_each_part_ends_with_its_blank():
    assert [part.split(".")[0] for part in PARTS] == [str(n) for n in range(1, 11)]
    blanks = [re.findall(r"^Blank: `([\w-]+)`", part, re.M) for part in PARTS]
    assert [name for found in blanks for name in found] == list(LESSON.names)
    for part in PARTS:
        assert part.rstrip().splitlines()[-1].startswith("Blank: ")


@pytest.mark.parametrize("number", range(1, 11))
def test_a_hint_leads_to_the_part_with_the_blank(number):
    assert f"docs/arrays.md, part {number}" in LESSON.exercises[number - 1].hints[1]


def test_the_last_part_has_the_numbers_of_lesson_01(names):
    Value = load_stage("01_micrograd", "engine").Value
    a, b = Value(2.0), Value(-3.0)
    L = (a * b + a) ** 2
    L.backward()
    assert (L.data, a.grad, b.grad) == (16, 16, -16)
    assert (names["L"].item(), names["a"].grad.item(), names["b"].grad.item()) == (16, 16, -16)


def test_the_numbers_in_the_drawings_are_those_of_the_cells(names):
    """Every row of a table in the cells is in a drawing of its part, as it is written there."""
    drawings = {part.split(".")[0]: "".join(DRAWING.findall(part)) for part in PARTS}
    shown = {
        "3": [names["x"], names["y"], names["x"] * names["y"]],
        "4": [names["x"], names["x"].sum(dim=0)[None]],
        "5": [names["x"], names["smoothed"], names["P"]],
        "6": [names["A"], names["B"], names["A"] @ names["B"]],
        "7": [names["X"], names["X"].T, names["X"] @ names["X"].T],
        "8": [names["onehot"], names["B"], names["onehot"] @ names["B"]],
        "9": [names["P"]],
    }
    for number, tables in shown.items():
        drawing = re.sub(r"[\[\] ]+", " ", drawings[number])
        for row in [row for table in tables for row in table.tolist()]:
            assert " ".join(f"{x:g}" for x in row) in drawing, f"part {number}: {row}"


def test_the_lessons_before_and_after_lead_to_the_page():
    for stage in ("02_bigram_counts", "03_bigram_learned"):
        assert "(../docs/arrays.md)" in (ROOT / stage / "README.md").read_text(encoding="utf-8")
