"""Check that everything works here. Each check prints one line, which says how to fix what fails.

    python3 run.py check-setup

Standard library only, because a missing package is one of the things to report.
"""

import os
import runpy
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from stages import ROOT

LAUNCHER = runpy.run_path(str(ROOT / "run.py"))  # knows which Python and packages are needed
TIMEOUT = 120  # seconds for a child that should take three
# The smallest run of each stage that still trains for a step. DATA is a text of a few KB.
SMALLEST = {
    "01_micrograd": ["--points=10", "--n-hidden=2"],
    "02_bigram_counts": ["--data=DATA"],
    "03_bigram_learned": ["--data=DATA", "--batch-size=16"],
    "04_embedding_mlp": ["--data=DATA", "--batch-size=16", "--n-hidden=8"],
    "05_microgpt": ["--data=DATA", "--n-embd=4"],
    "06_shakespeare_gpt": ["--data=DATA", "--block-size=8", "--n-embd=8", "--n-layer=1"],
}


class Failed(Exception):
    """A check failed. The message says what is wrong and how to fix it."""


# Each check returns what to print if all is well, and raises Failed otherwise.


def check_python():
    have = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < LAUNCHER["OLDEST_PYTHON"]:
        raise Failed(f"this is {have}, but 3.10 or newer is needed; with make: PYTHON=python3.12")
    return have


def check_packages(root=ROOT):
    pins = LAUNCHER["read_pins"](root / "requirements.txt", sys.version_info[:2])
    wrong = []
    for name, wanted in pins:
        try:
            have = version(name)
        except PackageNotFoundError:
            wrong.append(f"{name} is missing")
            continue
        if wanted not in (have, have.split("+")[0]):  # 2.13.0+cpu counts as 2.13.0
            wrong.append(f"{name} is {have}, not {wanted}")
    if wrong:
        command = f"{sys.executable} {ROOT / 'run.py'} check-setup"
        raise Failed(f"{', '.join(wrong)}; to install them into .venv, run {command}")
    return f"{len(pins)} as requirements.txt pins them"


def check_names(root=ROOT):
    """prepare.py compares the SHA-256. If it differs, its own line says what to do."""
    done = child([root / "data" / "prepare.py", "names"])
    if done.returncode:
        raise Failed(last_line(done.stderr or done.stdout))
    return "names.txt, SHA-256 as pinned"


def check_texts(root=ROOT):
    missing = [
        name for name in ("tinyshakespeare", "makemore") if not (root / f"data/{name}.txt").exists()
    ]
    if not missing:
        return "all in place"
    now = f"{sys.executable} data/prepare.py {' '.join(missing)}"
    return f"{' and '.join(missing)} will be fetched when needed; to fetch now: {now}"


def check_stage(stage, root=ROOT):
    """Train for one step in a child, into a temporary folder."""
    main = root / stage / "main.py"
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.txt"
        names = (root / "data" / "names.txt").read_text(encoding="utf-8").split()[:200]
        data.write_text("\n".join(names), encoding="utf-8")
        flags = [flag.replace("DATA", str(data)) for flag in SMALLEST[stage]]
        done = child([main, "--steps=1", f"--out={folder}", *flags])
    if done.returncode:
        said = last_line(done.stderr) or f"it ended with status {done.returncode}"
        raise Failed(f"{said}; to see all of it: {sys.executable} {stage}/main.py --steps 1")
    return f"one step of training, {time.monotonic() - began:.1f} s"


def child(command):
    """Run a Python script to its end. Failed if it takes too long."""
    environment = {**os.environ, "PYTHONUTF8": "1", "OMP_NUM_THREADS": "1"}
    words = [sys.executable, *map(str, command)]
    try:
        return subprocess.run(
            words, capture_output=True, encoding="utf-8", env=environment, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired:
        problem = f"it did not finish within {TIMEOUT} s; is the machine busy with something else?"
        raise Failed(problem) from None


def last_line(text):
    return text.strip().rpartition("\n")[2]


def run_check(check):
    """(whether all is well, what to print)."""
    try:
        return True, check()
    except Failed as problem:
        return False, str(problem)
    except ValueError as error:  # of read_pins()
        return False, str(error)
    except OSError as error:
        return False, f"{error.filename}: {error.strerror}; get a complete copy of the project"


def all_checks(root=ROOT):
    """{name: check}, in the order of the report."""
    return {
        "Python": check_python,
        "packages": partial(check_packages, root),
        "names": partial(check_names, root),
        "other texts": partial(check_texts, root),
        **{stage: partial(check_stage, stage, root) for stage in SMALLEST},
    }


def main(root=ROOT):
    checks, failed = all_checks(root), 0
    # Two at a time, because a child spends most of its time importing torch, on one core.
    with ThreadPoolExecutor(max_workers=2) as pool:
        jobs = {name: pool.submit(run_check, check) for name, check in checks.items()}
        for name, job in jobs.items():
            well, line = job.result()
            print(f"{'ok' if well else 'FAILED':<7}{name:<20}{line}", flush=True)
            failed += not well
    if failed:
        print(f"{failed} of {len(checks)} checks failed; fix the first one first")
    else:
        print("All is well. Next: make stages")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
