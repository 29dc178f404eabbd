"""What all extras share: stage code comes first, so that PyTorch finds what a stage has set."""

import os
import subprocess
import sys

import pytest

from stages import ROOT

EXTRAS = sorted(path.stem for path in (ROOT / "extras").glob("*.py"))
NO_PROGRAMS = ("byte_pairs", "compare_runs", "stage_code", "words")  # others import them
WITHOUT_PYTORCH = (*NO_PROGRAMS, "eurekalabs_ngram", "first_microgpt", "ngrams")
PRINTS_ONLY = ("first_microgpt",)  # writes no result
# Prints the variable at the moment when somebody imports torch, and ends there.
PROGRAM = """
import os, sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(os.environ.get("GOMP_SPINCOUNT"))
            sys.exit()

sys.meta_path.insert(0, Watch())
sys.path.insert(0, sys.argv[1])
__import__(sys.argv[2])
"""


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_threads_of_pytorch_are_set_up_before_it_is_imported(extra, tmp_path):
    command = [sys.executable, "-c", PROGRAM, ROOT / "extras", extra]
    env = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == ("" if extra in WITHOUT_PYTORCH else "1000\n")


PROGRAMS = [extra for extra in EXTRAS if extra not in NO_PROGRAMS]
SLOW = [pytest.param(extra, marks=pytest.mark.slow) for extra in PROGRAMS[2:]]


@pytest.mark.parametrize("extra", [*PROGRAMS[:2], *SLOW])
def test_help_from_any_folder(extra, tmp_path):
    command = [sys.executable, ROOT / "extras" / f"{extra}.py", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"python extras/{extra}.py" in done.stdout
    assert ("--out" in done.stdout) == (extra not in PRINTS_ONLY)
