"""The launcher: `make TARGET` is `python run.py TARGET`. Standard library only.

It uses the Python that runs it when that one has what requirements.txt asks for. Otherwise it makes
.venv on first use. A new target is one entry in TARGETS, at the end, and one word in the Makefile.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

OLDEST_PYTHON = (3, 10)
ROOT = Path(__file__).resolve().parent
REQUIREMENTS = ROOT / "requirements.txt"
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / "installed.txt"
INTERRUPTED = 130  # 128 + SIGINT: what a stage returns after Ctrl-C, its result written
PIN = re.compile(r'([\w.-]+)==([\w.+]+)(?:\s*;\s*python_version\s*(<|>=)\s*"(\d+)\.(\d+)")?')


def fail(message: str):
    """End with status 2 and one line that says what is wrong and what to do about it."""
    print(f"run.py: {message}", file=sys.stderr)
    sys.exit(2)


# --- the environment ---


def read_pins(text: str, python: tuple[int, int]) -> list[tuple[str, str]]:
    """The (name, version) pairs that the text of a requirements.txt asks of this version of Python.

    Raises ValueError for a line that is not `name==version`, alone or with a python_version marker.
    """
    pins = []
    for line in filter(None, (line.split("#")[0].strip() for line in text.splitlines())):
        pin = PIN.fullmatch(line)
        if pin is None:
            raise ValueError(f"requirements.txt: write {line!r} in the form name==version")
        name, version, comparison, major, minor = pin.groups()
        if comparison is None or (python < (int(major), int(minor))) == (comparison == "<"):
            pins.append((name, version))
    return pins


def satisfied(pins: list[tuple[str, str]]) -> bool:
    """Whether the running Python has these versions; a local one such as 2.13.0+cpu is 2.13.0."""
    from importlib.metadata import PackageNotFoundError, version  # slow to import; `help` does not

    try:
        return all(wanted in (version(name), version(name).split("+")[0]) for name, wanted in pins)
    except PackageNotFoundError:
        return False


def venv_version() -> str:
    """The version of .venv's Python, or "" where that Python is missing, moved or without pip."""
    probe = [str(VENV_PYTHON), "-c", "import pip, sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        return subprocess.run(probe, capture_output=True, encoding="utf-8").stdout.strip()
    except OSError:
        return ""


def stamp(requirements: str) -> str:
    """What .venv's stamp says once these requirements are installed for .venv's Python."""
    return f"{hashlib.sha256(requirements.encode()).hexdigest()} {venv_version()}\n"


def install(requirements: str) -> None:
    """Bring .venv up to requirements.txt. The stamp comes last, so a broken install is resumed."""
    print("Installing requirements.txt into .venv: once, 1 GB or more, some minutes.", flush=True)
    STAMP.unlink(missing_ok=True)
    if not venv_version() and run([sys.executable, "-m", "venv", "--clear", VENV]) != 0:
        shutil.rmtree(VENV, ignore_errors=True)
        fail("could not make .venv; the lines above say why")
    pip = [VENV_PYTHON, "-m", "pip", "--disable-pip-version-check"]
    if run([*pip, "install", "-r", REQUIREMENTS]) != 0:
        fail("pip did not finish; the lines above say why, and the same command again goes on")
    STAMP.write_text(stamp(requirements), encoding="utf-8")


def find_python() -> str:
    """The Python to run everything with: this one if it has the requirements, else .venv's."""
    requirements = REQUIREMENTS.read_text(encoding="utf-8")
    if satisfied(read_pins(requirements, sys.version_info[:2])):
        return sys.executable
    if not STAMP.exists() or STAMP.read_text(encoding="utf-8") != stamp(requirements):
        install(requirements)
    return str(VENV_PYTHON)


# --- children ---


def start(command: list, **options) -> subprocess.Popen:
    """Start a child that prints UTF-8 on every system, and each line as soon as it has it."""
    env = {**os.environ, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen([str(word) for word in command], env=env, **options)


def run(command: list, **options) -> int:
    """Run a child to its end and return its status; for a signal 128 + its number, as shells do."""
    status = start(command, **options).wait()
    return status if status >= 0 else 128 - status


def run_and_keep(command: list, path: Path) -> int:
    """Run a child, show what it prints, and unless it failed write that to `path`."""
    lines = []
    with start(command, stdout=subprocess.PIPE) as child:
        for line in child.stdout:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
            lines.append(line.replace(b"\r\n", b"\n"))
    if child.returncode in (0, INTERRUPTED):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".part").write_bytes(b"".join(lines))
        os.replace(path.with_suffix(".part"), path)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


# --- targets ---


def stage_folders() -> list[Path]:
    return sorted(main.parent for main in ROOT.glob("[0-9][0-9]_*/main.py"))


def find_stage(words: list[str]) -> Path:
    """The folder that the first word means: 4, 04 or 04_embedding_mlp."""
    word = words[0].rstrip("/\\") if words else ""
    for folder in stage_folders():
        if word in (folder.name, folder.name[:2], folder.name[:2].lstrip("0")):
            return folder
    problem = f"there is no stage {word!r}" if word else "which stage? give its number"
    return fail(f"{problem}; the stages are {', '.join(f.name for f in stage_folders())}")


def run_stage(words: list[str]) -> int:
    folder, python, began = find_stage(words), find_python(), time.time()
    status = run([python, folder / "main.py", *words[1:]])
    result = ROOT / "out" / folder.name / "result.json"
    if result.exists() and result.stat().st_mtime > began:
        # Nobody waits for the pictures: to draw them takes longer than the whole of stage 02.
        plots = [python, ROOT / "tools/plots.py", "--stage", folder.name[:2]]
        start(plots, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        print(f"pictures are being drawn into out/{folder.name}")
    return status


def run_stages(words: list[str]) -> int:
    python, folders, began, status = find_python(), stage_folders(), time.monotonic(), 0
    for number, folder in enumerate(folders, 1):
        main = folder / "main.py"
        idea = ast.get_docstring(ast.parse(main.read_text(encoding="utf-8"))).splitlines()[0]
        print(f"\n=== stage {number} of {len(folders)}: {folder.name}: {idea}", flush=True)
        status = run_and_keep([python, main, *words], ROOT / "out" / folder.name / "output.txt")
        if status != 0:
            how = "was interrupted" if status == INTERRUPTED else f"failed with status {status}"
            print(f"run.py: {folder.name} {how}, so no later stage runs", file=sys.stderr)
            break
    print(flush=True)
    run([python, ROOT / "tools/table.py"])
    run([python, ROOT / "tools/plots.py"], stdout=subprocess.DEVNULL)
    minutes, seconds = divmod(round(time.monotonic() - began), 60)
    print(f"{minutes} min {seconds} s in all")
    return status


def run_extras(words: list[str]) -> int:
    python, status = find_python(), 0
    for number, extra in enumerate(EXTRAS, 1):
        print(f"\n=== {number} of {len(EXTRAS)}: {' '.join(extra)}", flush=True)
        status = run([python, ROOT / extra[0], *extra[1:], *words])
        if status != 0:
            print(f"run.py: {extra[0]} ended with status {status}", file=sys.stderr)
            return status
    return run([python, ROOT / "tools/table.py"])


def run_ablate(words: list[str]) -> int:
    folder = find_stage(words)
    if not (folder / "ablate.py").exists():
        fail(f"{folder.name} has no ablations; 5 and 6 have")
    return run([find_python(), folder / "ablate.py", *words[1:]])


def run_notebook(words: list[str]) -> int:
    folder = find_stage(words)
    notebooks = ROOT / "tools/notebooks.py"
    return run([find_python(), notebooks, "--open", "--stage", folder.name, *words[1:]])


def run_diff(words: list[str]) -> int:
    folder = find_stage(words)
    return run([find_python(), ROOT / "tools/diff.py", folder.name, *words[1:]])


def show_help(words: list[str]) -> int:
    print("make TARGET [ARGS='...']    or    python run.py TARGET [arguments]\n")
    for name, (_, line) in TARGETS.items():
        print(f"  {name:<13}{line}")
    return 0


# Files beside a main.py that go further; each is one or more rows of the table.
EXTRAS = (
    ("02_bigram_counts/ngram.py",),
    ("04_embedding_mlp/batchnorm.py",),
    ("04_embedding_mlp/wavenet.py",),
    ("05_microgpt/twin.py", "--preset", "best"),
    ("06_shakespeare_gpt/bigram.py",),
    ("06_shakespeare_gpt/tokens.py",),
)

# name: (a function of the words after it, or the start of a command for Python; the line of help)
TARGETS = {
    "stages": (run_stages, "run stages 1 to 6 in order, then print the loss table"),
    "stage": (run_stage, "run one stage: make stage 4, make stage 4 ARGS='--steps 500'"),
    "table": (["tools/table.py"], "the loss table of out/: --format markdown|json|csv, --from DIR"),
    "extras": (run_extras, "the rows that go further: n-grams, WaveNet, byte pairs and others"),
    "seeds": (["tools/seeds.py"], "run the fast stages with three seeds, for the spread"),
    "published": (["tools/published.py"], "published numbers against ours: --long for all"),
    "ablate": (run_ablate, "what each ingredient is worth: make ablate 5, make ablate 6"),
    "score": (["tools/score.py"], "the surprise in a text, by every model: make score NAME=emma"),
    "plots": (["tools/plots.py"], "draw the pictures of out/ anew"),
    "notebook": (run_notebook, "open a lesson in JupyterLab: make notebook 3"),
    "notebooks": (["tools/notebooks.py"], "run all lessons and write NN/lesson.ipynb"),
    "check-setup": (["tools/check_setup.py"], "is everything there? 20 seconds"),
    "test": (["-m", "pytest"], "the whole test suite"),
    "data": (["data/prepare.py"], "get every data set and verify it"),
    "diff": (run_diff, "what changed from one stage's main.py to the next: make diff 4"),
    "readme": (["tools/readme.py"], "fill the READMEs from results/: --check to see what is stale"),
    "reference": (["tools/reference.py"], "copy a complete run from out/ to results/, then readme"),
    "bench": (["tools/bench.py"], "how fast everything is: --published FILE --nanogpt FOLDER"),
    "lint": (["-m", "ruff", "check"], "check the style of the code"),
    "help": (show_help, "this list"),
}


def main(words: list[str]) -> int:
    if sys.version_info < OLDEST_PYTHON:
        have = sys.version.split()[0]
        fail(f"this is Python {have}, and 3.10 or newer is needed; with make: PYTHON=python3.12")
    # The terminal sends Ctrl-C to the child as well: it ends in its own time, and this one waits.
    signal.signal(signal.SIGINT, lambda *_: None)
    target = words[0] if words else "help"
    target = "help" if target in ("-h", "--help") else target
    if target not in TARGETS:
        fail(f"there is no target {target!r}; python run.py help lists them")
    action, _ = TARGETS[target]
    if callable(action):
        return action(words[1:])
    if action[0] == "-m":  # pytest and ruff look for pyproject.toml where they start
        return run([find_python(), *action, *words[1:]], cwd=ROOT)
    return run([find_python(), ROOT / action[0], *words[1:]])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
