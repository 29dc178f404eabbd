"""The commands of the learner: python tools/learn check 3, which is what `make check 3` runs."""

import importlib
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # tools/, for learn and stages

from command_line import run_tool
from learn.exercises import Problem
from visible import visible

MODULES = {
    "start": "start",
    "check": "check",
    "watch": "watch",
    "hint": "hint",
    "solution": "solution",
    "predict": "predict",
    "museum": "museum",
    "class": "classroom",
}


def main(words):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")
    command = words[0] if words else ""
    if command not in MODULES:
        print(f"learn: give one of these commands: {', '.join(MODULES)}", file=sys.stderr)
        return 2
    try:
        return importlib.import_module(f"learn.{MODULES[command]}").main(words[1:])
    except Problem as problem:
        print(f"{command}: {visible(str(problem))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print()
        return 130


if __name__ == "__main__":
    run_tool("learn", lambda: main(sys.argv[1:]))
