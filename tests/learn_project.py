"""A small project with made-up stages and exercises, for the tests of tools/learn.

It has no use for PyTorch, so a check takes a tenth of a second.
"""

import os
import shutil
import subprocess
import sys

import pytest

from stages import ROOT

MAIN = '''"""The first idea."""

import json
import sys
from pathlib import Path

import helper


def double(x):
    """Twice x."""
    return 2 * x


def squares(numbers):  # list[n] -> list[n]
    # A comment that belongs to the body.
    return [helper.square(x) for x in numbers]


class Box:
    """Numbers in a box."""

    def __init__(self, numbers):
        self.numbers = numbers

    def total(self):
        """The sum."""
        total = 0
        for x in self.numbers:
            total += x
            # the sum so far
        return total


if __name__ == "__main__":
    out = Path(sys.argv[-1].partition("=")[2])
    out.mkdir(parents=True)
    loss = {"train": double(0.5), "val": Box(squares([1, 1])).total(), "test": None}
    (out / "result.json").write_text(json.dumps({"loss": loss, "curve": [[0, None, 3.25]]}))
    print("trained with", sys.argv[1:-1])
'''
HELPER = "def square(x): return x * x\n"
EXERCISES = """train = ["--steps", "5"]

[[exercise]]
name = "square"
file = "helper.py"
function = "square"
task = "Multiply."
hints = ["a question about square", "where square is explained", "x * x"]
explanation = "Squares are never negative."

[[exercise]]
name = "double"
file = "main.py"
function = "double"
task = "Return twice `x`."
hints = ["What is x + x?", "Lesson 1", "2x"]
explanation = "Doubling is adding."
seconds = 1

[[exercise]]
name = "all-squares"
file = "main.py"
function = "squares"
task = "Square every number."
hints = ["a", "b", "c"]
explanation = "A list in, a list out."
seconds = 1

[[exercise]]
name = "total"
file = "main.py"
function = "Box.total"
inside = "for x in"
task = "Add `x` to `total`."
hints = ["a", "b", "c"]
explanation = "Sums start at 0."
seconds = 1

[[prediction]]
question = "What is the first loss?"
kind = "number"
answer = "curve.0.2"
tolerance = 0.01
why = "Because."

[[prediction]]
question = "Better or worse?"
kind = "choice"
choices = ["better", "worse"]
answer = "worse"
why = "It is made up."

[[prediction]]
question = "How much is six times seven?"
kind = "number"
answer = 42
why = "Multiply."
"""
CHECKS = """
def square(learner, check):
    check.equal(learner.helper.square, (3,), 9)


def double(learner, check):
    check.equal(
        learner.main.double, (3,), 6, by="by hand",
        mistakes={"This is the square.": lambda x: x * x, "Text was added.": TypeError},
    )
    check.equal(learner.main.double, (0.5,), 1.0)


def all_squares(learner, check):
    check.equal(learner.main.squares, ([1, 2, 3],), [1, 4, 9])
    check.equal(learner.main.squares, ([],), [])


def total(learner, check):
    box = learner.main.Box([1, 2, 4])
    check.equal(lambda: box.total(), (), 7, call="Box([1, 2, 4]).total()")
"""


class Project:
    """The made-up project in a folder; learn("check", "1") runs a command in it."""

    def __init__(self, root):
        self.root, self.my = root, root / "my"
        left_out = shutil.ignore_patterns("__pycache__", "explorer")
        shutil.copytree(ROOT / "tools", root / "tools", ignore=left_out)
        self.write("01_first/main.py", MAIN)
        self.write("01_first/helper.py", HELPER)
        self.write("02_second/main.py", '"""The second idea."""\n')
        self.write("exercises/01_first.toml", EXERCISES)
        self.write("exercises/check_01_first.py", CHECKS)

    def write(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text, encoding="utf-8")

    def read(self, path):
        return (self.root / path).read_text(encoding="utf-8")

    def change(self, old, new, path="my/01_first/main.py"):
        assert self.read(path).count(old) == 1
        self.write(path, self.read(path).replace(old, new))

    def solve(self):
        """Put right solutions into my/."""
        self.write("my/01_first/main.py", MAIN)
        self.write("my/01_first/helper.py", HELPER)

    def command(self, *words):
        return [sys.executable, str(self.root / "tools" / "learn"), *map(str, words)]

    def learn(self, *words, answers="", width=100):
        env = {**os.environ, "COLUMNS": str(width), "PYTHONUTF8": "1", "PYTHONPATH": str(self.root)}
        return subprocess.run(
            self.command(*words), input=answers, capture_output=True, encoding="utf-8",
            timeout=60, env=env, cwd=self.root,
        )  # fmt: skip

    def check(self, *flags):
        """What `make check 1` prints, without training."""
        done = self.learn("check", "1", "--no-train", *flags)
        assert done.stderr == "", done.stderr
        return done.stdout


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


@pytest.fixture
def begun(project):
    """A project in which stage 1 was started."""
    assert project.learn("start", "1").returncode == 0
    return project


@pytest.fixture
def solved(project):
    """A project in which the learner has solved all of stage 1."""
    project.solve()
    return project
