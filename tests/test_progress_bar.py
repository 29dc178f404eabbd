"""The progress of tools: which part is at work and how long the rest takes, on stderr."""

import io
import re
import sys
import time

import pytest

import progress_bar
from progress_bar import track


class Clock:
    """Replaces the time module."""

    now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress_bar, "time", clock)
    return clock


def work(clock, seconds, **flags):
    """Let each part take as many seconds as it says."""
    for part in track(seconds, **flags):
        clock.now += part


def test_parts_come_in_order_and_quick_work_says_nothing(clock, capsys):
    assert list(track("abc")) == ["a", "b", "c"] and list(track([])) == []
    work(clock, [0.5, 1, 1, 0.4])
    assert capsys.readouterr() == ("", "")


def test_each_long_part_gets_a_line_with_the_time_left(clock, capsys):
    work(clock, [10, 10, 20], label=lambda part: f"<{part}>")
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "2 of 3: <10>, 0:00:20 left\n3 of 3: <20>, 0:00:10 left\n"


def test_weights_tell_long_parts_from_short_ones(clock, capsys):
    work(clock, [10, 10, 20], weight=lambda part: part)
    assert capsys.readouterr().err == "2 of 3: 10, 0:00:30 left\n3 of 3: 20, 0:00:20 left\n"


def test_of_many_short_parts_one_in_three_seconds_gets_a_line(clock, capsys):
    work(clock, [0.5] * 40)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines] == ["7", "13", "19", "25", "31", "37"]
    assert lines[0] == "7 of 40: 0.5, 0:00:17 left"


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.mark.parametrize("both", [True, False])
def test_a_terminal_shows_a_bar_which_vanishes_and_leaves_files_alone(both, monkeypatch):
    """both: also stdout is a terminal; otherwise it is a file."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    err, out = Terminal(), Terminal() if both else io.StringIO()
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setattr(sys, "stdout", out)
    for part in track(["one", "[red]two"]):
        print("said", part)
        time.sleep(0.3)  # the bar is drawn ten times a second
    assert "1 of 2: one" in err.getvalue() and "2 of 2: [red]two" in err.getvalue()
    assert re.search(r"0:00:0\d left", err.getvalue())
    assert err.getvalue().endswith("\x1b[2K")  # the last thing is that the line is wiped out
    said = err.getvalue() if both else out.getvalue()
    assert len(re.findall("said (one|.red.two)", said)) == 2
    assert both or out.getvalue() == "said one\nsaid [red]two\n"
