"""make watch: a check at every save, with and without a terminal."""

import contextlib
import os
import subprocess
import time

import pytest

from learn_project import HELPER, MAIN, begun, project

__all__ = ["begun", "project"]  # fixtures

posix_only = pytest.mark.skipif(os.name == "nt", reason="a pseudo-terminal needs POSIX")
WAIT = 60  # seconds until a test gives up


class Watched:
    """`make watch 1` in the background; what it prints is in text()."""

    def __init__(self, project, terminal):
        self.project, self.seen, self.master = project, 0, None
        env = {**os.environ, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1", "COLUMNS": "100"}
        if terminal:
            self.master, stream = os.openpty()
            env["TERM"] = "xterm"
            options = {"stdin": stream, "stdout": stream, "stderr": stream}
        else:
            self.out = open(project.root / "watched.txt", "wb")  # noqa: SIM115
            options = {"stdin": subprocess.DEVNULL, "stdout": self.out, "stderr": self.out}
        self.printed = ""
        self.child = subprocess.Popen(
            project.command("watch", "1"), env=env, cwd=project.root, **options
        )
        if terminal:
            os.close(stream)
            os.set_blocking(self.master, False)

    def text(self):
        if self.master is None:
            return self.project.read("watched.txt")
        with contextlib.suppress(OSError):  # nothing new, or the end
            self.printed += os.read(self.master, 1_000_000).decode("utf-8", "replace")
        return self.printed

    def wait_for(self, words):
        """Wait until the words appear after those that were waited for before."""
        began = time.monotonic()
        while words not in self.text()[self.seen :]:
            assert time.monotonic() - began < WAIT, f"{words!r} not in {self.text()[self.seen :]!r}"
            time.sleep(0.02)
        part = self.text()[self.seen :]
        self.seen += part.index(words) + len(words)
        return part[: part.index(words)]

    def press(self, key):
        os.write(self.master, key.encode())

    def end(self):
        self.child.kill()
        self.child.wait()
        if self.master is None:
            self.out.close()
        else:
            os.close(self.master)


def wait_until(condition):
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < WAIT
        time.sleep(0.02)


@pytest.fixture
def watch(begun):
    started = []

    def start(terminal=False):
        started.append(Watched(begun, terminal))
        return started[-1]

    yield start
    for watched in started:
        watched.end()


# --- without a terminal ---


def test_one_line_for_each_check(begun, watch):
    watched = watch()
    watched.wait_for("0 of 4 passed; square: square is not written yet.")
    begun.write("my/01_first/helper.py", "def square(x):\n    return x + x\n")
    watched.wait_for("0 of 4 passed; square: came 6, expected 9")
    begun.write("my/01_first/helper.py", "def square(x:\n")
    watched.wait_for("0 of 4 passed; helper.py: Syntax error")
    begun.write("my/01_first/helper.py", HELPER)
    watched.wait_for("1 of 4 passed; square passed, next: double")
    begun.write("my/01_first/main.py", MAIN)
    watched.wait_for("4 of 4 passed. To train your own model: make check 1")
    assert watched.child.wait(WAIT) == 0
    assert len(watched.text().splitlines()) == 6  # the first says which folder


def test_a_newer_save_cancels_the_check(begun, watch):
    marker = begun.root / "it hangs"
    hang = f"    open({str(marker)!r}, 'w').close()\n    while True:\n        pass"
    endless = MAIN.replace("    return 2 * x", hang)
    begun.write("my/01_first/helper.py", HELPER)
    begun.write("my/01_first/main.py", endless)
    path = "exercises/01_first.toml"
    begun.write(path, begun.read(path).replace("seconds = 1\n", "seconds = 60\n"))
    watched = watch()
    wait_until(marker.exists)
    assert len(watched.text().splitlines()) == 1
    begun.write("my/01_first/main.py", MAIN)
    watched.wait_for("4 of 4 passed")
    assert "double" not in watched.text()


# --- on a terminal ---


@posix_only
def test_the_next_exercise_comes_without_its_errors(begun, watch):
    begun.write("my/01_first/main.py", MAIN.replace("return 2 * x", "return 3 * x"))
    watched = watch(terminal=True)
    watched.wait_for("Exercise 1 of 4: square")
    begun.write("my/01_first/helper.py", HELPER)
    watched.wait_for("1 of 4")
    watched.wait_for("Squares are never negative.")
    watched.wait_for("Exercise 2 of 4: double")
    shown = watched.wait_for("It is checked at your next save.")
    assert "failed" not in shown and "expected" not in shown
    watched.press("r")
    watched.wait_for("double(3)")
    watched.wait_for("by hand")
    watched.press("q")
    assert watched.child.wait(WAIT) == 0


@posix_only
def test_keys(begun, watch):
    watched = watch(terminal=True)
    watched.wait_for("h hint   r check again   q quit")
    watched.wait_for("Multiply.")
    watched.press("h")
    watched.wait_for("a question about square")
    watched.press("H")
    watched.wait_for("where square is explained")
    watched.press("r")
    watched.wait_for("checking ...")
    watched.wait_for("Multiply.")
    watched.press("q")
    assert watched.child.wait(WAIT) == 0


@posix_only
def test_an_earlier_exercise_that_breaks_is_said(begun, watch):
    begun.write("my/01_first/main.py", MAIN.replace("return 2 * x", "return 3 * x"))
    begun.write("my/01_first/helper.py", HELPER)
    begun.check()
    watched = watch(terminal=True)
    watched.wait_for("double(3)")
    begun.write("my/01_first/helper.py", "def square(x):\n    return x\n")
    watched.wait_for("square passed before. Mend it first; you were working on double.")


@posix_only
def test_an_explanation_is_not_shown_again(begun, watch):
    begun.write("my/01_first/helper.py", HELPER)
    assert "Squares are never negative." in begun.check()
    begun.write("my/01_first/helper.py", "def square(x):\n    return x\n")
    assert "failed  square" in begun.check()
    watched = watch(terminal=True)
    watched.wait_for("square(3)")
    begun.write("my/01_first/helper.py", HELPER)
    watched.wait_for("passed  ")
    assert "negative" not in watched.wait_for("Exercise 2 of 4: double")


@posix_only
def test_q_ends_a_check_that_hangs(begun, watch):
    marker = begun.root / "it hangs"
    hang = f"    open({str(marker)!r}, 'w').close()\n    while True:\n        pass\n"
    begun.write("my/01_first/helper.py", f"def square(x):\n{hang}")
    function, path = 'function = "square"\n', "exercises/01_first.toml"
    begun.write(path, begun.read(path).replace(function, f"{function}seconds = 600\n"))
    watched = watch(terminal=True)
    watched.wait_for("checking ...")
    wait_until(marker.exists)
    watched.press("q")
    assert watched.child.wait(WAIT) == 0
