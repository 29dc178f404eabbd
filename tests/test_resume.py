"""Checkpoints and --resume: a run killed at any moment ends like one that never stopped."""

import json
import os
import random
import shutil
import subprocess
import sys
import threading

import pytest

from stages import ROOT

# Runs a program that writes a checkpoint after every 0.02 seconds of training.
OFTEN = """
import runpy, sys
from pathlib import Path
sys.argv = sys.argv[1:]
sys.path.insert(0, str(Path(sys.argv[0]).parent))
import common
common.CHECKPOINT_SECONDS = 0.02
runpy.run_path(sys.argv[0], run_name="__main__")
"""
NAMES = (ROOT / "data" / "names.txt").read_text(encoding="utf-8").split()[::20]
SPEECH = "First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\nSpeak.\n\n"
# A training of about a second, apart from the checkpoints.
PROGRAMS = {
    "01_micrograd/main.py": ["--steps=20", "--points=20", "--n-hidden=6"],
    "03_bigram_learned/main.py": ["--steps=1000"],
    "04_embedding_mlp/main.py": ["--steps=600", "--batch-size=64", "--n-hidden=32"],
    "05_microgpt/main.py": ["--steps=200", "--n-embd=8"],
    "05_microgpt/torch_twin.py": ["--steps=150", "--batch-size=32", "--dropout=0.1"],
    "06_shakespeare_gpt/main.py": [
        "--steps=150", "--batch-size=8", "--block-size=24", "--n-embd=32", "--n-layer=2",
        "--dropout=0.1", "--eval-every=40", "--device=cpu",
    ],
}  # fmt: skip
posix = pytest.mark.skipif(os.name == "nt", reason="kills another process as POSIX does")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """data(program) -> the path of a small file for it; None: the program makes its own."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "names.txt").write_text("\n".join(NAMES), encoding="utf-8")
    (folder / "text.txt").write_text(SPEECH * 60, encoding="utf-8")

    def data(program):
        if program.startswith("01"):
            return []
        return ["--data", folder / ("text.txt" if program.startswith("06") else "names.txt")]

    return data


def start(program, flags, out, code=OFTEN):
    command = [sys.executable, "-c", code, str(ROOT / program), "--out", out, *flags]
    return subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    )


def run(program, flags, out, code=OFTEN):
    """(status, stdout, stderr) of a run to its end."""
    child = start(program, flags, out, code)
    printed, err = child.communicate(timeout=120)
    return child.returncode, printed, err


def result(out):
    """All of a result but what differs between two equal runs."""
    content = json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert content.pop("seconds") >= 0
    return content


def checkpoints(out):
    return sorted(path for path in out.glob("checkpoint*"))


def kill_at_random(program, flags, out, dice, longest):
    """Start the program, and kill it some time after its first line. Returns its status."""
    child = start(program, flags, out)
    first = child.stdout.readline()
    killer = threading.Timer(dice.uniform(0, longest), child.kill)
    killer.start()
    _, err = child.communicate(timeout=120)
    killer.cancel()
    assert first, err
    assert "Traceback" not in err
    return child.returncode


def killed_and_resumed(program, flags, out, kills, longest, seed=1):
    """Kill the program this many times, each time going on where it was, then let it end."""
    dice, resumed = random.Random(seed), 0
    for _ in range(kills):
        resume = ["--resume"] if checkpoints(out) else []
        resumed += bool(resume)
        if kill_at_random(program, [*flags, *resume], out, dice, longest) == 0:
            shutil.rmtree(out)  # it came to its end: begin again
    resume = ["--resume"] if checkpoints(out) else []
    status, printed, err = run(program, [*flags, *resume], out)
    assert status == 0, err
    assert not resume or "going on after step" in printed
    return resumed


@posix
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_killed_run_ends_like_one_never_stopped(program, data, tmp_path):
    flags = [*PROGRAMS[program], *data(program)]
    assert run(program, flags, tmp_path / "whole")[0] == 0
    killed_and_resumed(program, flags, tmp_path / "killed", 2, 1.0)
    assert result(tmp_path / "killed") == result(tmp_path / "whole")
    names = {path.name for path in (tmp_path / "whole").iterdir()}
    assert {path.name for path in (tmp_path / "killed").iterdir()} == names
