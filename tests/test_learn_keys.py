"""The keys of make watch: on Windows with a made-up msvcrt, elsewhere with a pseudo-terminal."""

import importlib.util
import os
import sys
import time
from types import SimpleNamespace

import pytest

from stages import ROOT


def load_keys():
    """keys.py as a new module, which asks again which system it runs on."""
    spec = importlib.util.spec_from_file_location("keys", ROOT / "tools" / "learn" / "keys.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- Windows ---


class FakeMsvcrt:
    """The two functions of msvcrt that are in use, with keys that a test has typed.

    late: the keys arrive only after this many calls of kbhit().
    """

    def __init__(self, typed="", late=0):
        self.typed, self.late, self.asked = list(typed), late, 0

    def kbhit(self):
        self.asked += 1
        return bool(self.typed) and self.asked > self.late

    def getwch(self):
        assert self.typed, "getwch() without a key would wait for ever"
        return self.typed.pop(0)


@pytest.fixture
def windows(monkeypatch):
    """windows("hq") -> (Keys on a terminal of Windows where h and q were pressed, msvcrt)."""
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))

    def start(*typed, **late):
        fake = FakeMsvcrt(*typed, **late)
        monkeypatch.setitem(sys.modules, "msvcrt", fake)
        for name in ("select", "termios", "tty"):  # Windows has no terminal of this kind
            monkeypatch.setitem(sys.modules, name, None)
        return load_keys().Keys(), fake

    return start


def read_all(keys, count):
    with keys:
        return [keys.read(0.0) for _ in range(count)]


def test_keys_of_windows(windows):
    keys, fake = windows("hRq")
    assert read_all(keys, 4) == ["h", "r", "q", ""]
    assert fake.typed == []


def test_windows_waits_for_a_key_as_long_as_it_should(windows):
    keys, _ = windows("h", late=3)
    assert keys.read(5) == "h"
    began = time.monotonic()
    assert keys.read(0.1) == ""
    assert time.monotonic() - began >= 0.1


@pytest.mark.parametrize("half", ["\x00", "\xe0"])
@pytest.mark.parametrize("which", "HPKMGRq;")  # up is H, insert is R
def test_an_arrow_of_windows_is_no_letter(windows, half, which):
    keys, fake = windows(f"{half}{which}q")
    assert read_all(keys, 3) == ["", "q", ""]
    assert fake.typed == []


def test_an_a_with_a_grave_accent_of_windows_does_not_wait_for_another_key(windows):
    """It is the character with which an arrow begins."""
    keys, _ = windows("\xe0")
    assert read_all(keys, 2) == ["", ""]


def test_windows_without_a_terminal(windows, monkeypatch):
    for stdin in (None, SimpleNamespace(isatty=lambda: False)):
        monkeypatch.setattr(sys, "stdin", stdin)
        keys, fake = windows("h")
        assert read_all(keys, 1) == [""] and fake.asked == 0


# --- POSIX ---


@pytest.fixture
def terminal(monkeypatch):
    """(Keys on a pseudo-terminal, a function that types)."""
    if os.name == "nt":
        pytest.skip("a pseudo-terminal needs POSIX")
    master, stream = os.openpty()
    with os.fdopen(stream) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield load_keys().Keys(), lambda text: os.write(master, text.encode())
    os.close(master)


def test_keys_that_come_together_are_read_one_by_one(terminal):
    keys, press = terminal
    with keys:
        press("hRé")
        assert [keys.read(5), keys.read(0), keys.read(0), keys.read(0)] == ["h", "r", "é", ""]
        press("q")
        assert keys.read(5) == "q"


def test_home_and_the_arrows_are_no_letters(terminal):
    keys, press = terminal
    with keys:
        for text in ("\x1b[H", "\x1bOH", "\x1b[A"):
            press(text)
            assert keys.read(5) == "" and keys.read(0) == ""


def test_the_terminal_is_as_before_afterwards(terminal):
    termios = pytest.importorskip("termios")
    keys, _ = terminal
    before = termios.tcgetattr(sys.stdin)
    with keys:
        assert termios.tcgetattr(sys.stdin) != before
    assert termios.tcgetattr(sys.stdin) == before
