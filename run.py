"""The launcher: `make TARGET` is `python run.py TARGET`. Standard library only.

It uses the Python that runs it if the required packages are installed there. Otherwise it makes
.venv and installs them into it. To add a target, add a line to LEARNING or MAINTAINING, at the end
of this file, and a word to the Makefile.
"""

import ast
import hashlib
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

OLDEST_PYTHON = (3, 10)
PYTHON = "py" if os.name == "nt" else "python3"  # what to type for Python before .venv is there
ROOT = Path(__file__).resolve().parent
REQUIREMENTS = ROOT / "requirements.txt"
DEV_REQUIREMENTS = ROOT / "requirements-dev.txt"
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
SERIES = ROOT / "out" / "finished.txt"  # the stages that an unfinished `stages` has done
INTERRUPTED = 130  # 128 + SIGINT: how a stage ends after Ctrl-C, with its result written
MOST_WORKERS = 8  # for the tests; each holds PyTorch, about 300 MB of memory
# Flags of pytest that choose the number of processes, or need the terminal; -vs is -v and -s.
ONE_PROCESS = re.compile(
    r"-n.*|--numprocesses.*|(-p)?no:xdist|-[qvxl]*s[qvxls]*|--capture=no|--pdb|--trace"
)
TERM = r'(?:python_version (?:<|>=) "\d+\.\d+"|(?:sys_platform|platform_machine) (?:==|!=) "\w+")'
PIN = re.compile(rf"([\w.-]+)==([\w.+]+)(?:\s*;\s*({TERM}(?: and {TERM})*))?")
# Settings that change which files Python imports, or what a program does. No child gets them.
FOREIGN = {"PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "PYTHONOPTIMIZE", "PYTHONINSPECT"}
# The settings of pip and uv that say where packages come from, and all that the two get.
INDEX = "(CONFIG_FILE|((DEFAULT|EXTRA)_)?INDEX(_URL)?|FIND_LINKS|NO_INDEX|TORCH_BACKEND)"
SOURCES = re.compile(
    f"(PIP|UV)_({INDEX}|CONSTRAINT|TRUSTED_HOST|INSECURE_HOST|PROXY|(CLIENT_)?CERT|SYSTEM_CERTS"
    "|NATIVE_TLS|((DEFAULT|HTTP)_)?TIMEOUT|(HTTP_)?RETRIES|(NO_)?CACHE(_DIR)?|INDEX_.*)"
)
ESCAPE = "" if os.name == "nt" else "\\"  # a backslash on Windows is a part of a path
MAKE_VARIABLES = ("N", "EXERCISE", "NAME", "ARGS")  # the Makefile exports ZERO_N and so on
# Run by .venv's Python: run.py, and then has() with the requirements files.
PROBE = "import runpy, sys; sys.exit(not runpy.run_path(sys.argv[1])['has'](sys.argv[2:]))"


def fail(message):
    """End with status 2 and one line that says what is wrong and how to fix it."""
    print(f"run.py: {message}", file=sys.stderr)
    sys.exit(2)


# --- the environment ---


def applies(marker, facts):
    """Whether all terms of a marker hold. facts: the value of each name that a term may have."""
    for term in marker.split(" and "):
        name, sign, value = term.replace('"', "").split()
        if name == "python_version":
            holds = (facts[name] < tuple(map(int, value.split(".")))) == (sign == "<")
        else:
            holds = (facts[name] == value) == (sign == "==")
        if not holds:
            return False
    return True


def read_pins(path, python, system=sys.platform, machine=None):
    """The packages that a requirements file asks for on this version of Python: [(name, version)].

    ValueError for a line that is not `name==version`, alone or with a marker. A marker joins terms
    such as python_version < "3.11" and sys_platform == "darwin" by `and`.
    """
    pins = []
    machine = machine or platform.machine()
    facts = {"python_version": python, "sys_platform": system, "platform_machine": machine}
    for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines():
        line = line.split("#")[0].strip()
        pin = PIN.fullmatch(line)
        if line and pin is None:
            raise ValueError(f"{path.name}: write {line!r} in the form name==version")
        if line:
            name, version, marker = pin.groups()
            if marker is None or applies(marker, facts):
                pins.append((name, version))
    return pins


def satisfied(pins):
    """Whether the running Python has these versions. 2.13.0+cpu counts as 2.13.0."""
    from importlib.metadata import PackageNotFoundError, version  # slow to import

    try:
        have = [version(name) or "" for name, _ in pins]  # None if the package is only half there
    except PackageNotFoundError:
        return False
    return all(wanted in (own, own.split("+")[0]) for own, (_, wanted) in zip(have, pins))


def has(files):
    """Whether the running Python has what these requirements files ask for."""
    return all(satisfied(read_pins(Path(file), sys.version_info[:2])) for file in files)


def succeeds(command):
    """Whether a command can be run and ends well. It prints nothing."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        status = start(command, **quiet).wait()
    except OSError:
        return False
    if status == -signal.SIGINT:
        sys.exit(INTERRUPTED)
    return status == 0


def venv_is_complete():
    """Whether the making of .venv came to its end, and its Python can load all of pip.

    venv writes the script activate after it has installed pip.
    """
    activate = VENV_PYTHON.with_name("activate")
    return activate.exists() and succeeds([VENV_PYTHON, "-m", "pip", "install", "--help"])


def venv_has(files):
    """Whether .venv's Python works and has what these requirements files ask for."""
    return succeeds([VENV_PYTHON, "-c", PROBE, ROOT / "run.py", *files])


def stamp_of(files):
    """Where .venv notes that these requirements files are installed, and what the note says."""
    content = b"".join(file.read_bytes() for file in files)
    return VENV / f"{files[-1].name}.installed", hashlib.sha256(content).hexdigest().encode()


def is_installed(files):
    """Whether pip came to its end with these requirements files, and nothing was lost since."""
    stamp, note = stamp_of(files)
    return stamp.is_file() and stamp.read_bytes() == note and venv_has(files)


def why_no_torch():
    """Why nobody offers PyTorch for the running Python, and what to do; None if somebody does."""
    command = f"{PYTHON} 01_micrograd/main.py"
    others = f"01 and 05's main.py run without it, and 02's with numpy alone: {command}"
    if "musl" in (sysconfig.get_config_var("HOST_GNU_TYPE") or ""):
        return f"PyTorch has no packages for Alpine and other systems with musl; {others}"
    if sys.maxsize < 2**32:
        return f"PyTorch has no packages for a 32-bit Python; take a 64-bit one, or {others}"
    if sys.platform == "darwin" and platform.machine() == "x86_64" and sys.version_info >= (3, 13):
        how = "with make: PYTHON=python3.12"
        return f"the last PyTorch for Intel Macs needs Python 3.12 or older; {how}"
    return None


def download_size(uv):
    """How much the first installation downloads on this kind of machine, in words."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "about 230 MB"
    if shutil.which("nvidia-smi"):  # comes with NVIDIA's driver
        return "about 3 GB, with PyTorch for NVIDIA GPUs"
    if own_index("PIP") or own_index("UV"):
        return "230 MB if pip finds PyTorch for CPUs, 3 GB if it is the one for NVIDIA GPUs"
    if uv:
        return "about 230 MB, with PyTorch for CPUs"
    return (
        "about 3 GB, because the usual PyTorch for Linux is for NVIDIA GPUs. With PyTorch for CPUs "
        "it is 230 MB: stop with Ctrl-C and set PIP_EXTRA_INDEX_URL to the address for CPUs on "
        "PyTorch's installation page, or install uv, which chooses by itself"
    )


def own_index(tool):
    """Whether settings of the user's say where packages come from. tool: PIP or UV"""
    return any(re.fullmatch(f"{tool}_{INDEX}", name) for name in os.environ)


def find_uv():
    """The path of uv, or None. uv does not know pip's settings, so who has some gets pip."""
    return None if own_index("PIP") else shutil.which("uv")


def install_with(uv, files):
    """Install requirements files with uv, if it is not None, or else with pip. Returns the status.

    uv also chooses the PyTorch for this machine, unless the user has an index. If uv fails, pip
    tries.
    """
    words = [word for file in files for word in ("-r", file)]
    if uv:
        backend = [] if own_index("UV") else ["--torch-backend", "auto"]
        status = run([uv, "pip", "install", "--python", VENV_PYTHON, *backend, *words])
        if status in (0, INTERRUPTED):
            return status
        print("uv failed, and the lines above say why. Now pip tries.", flush=True)
    # pip's own files of settings count as well, and many say: install for the user.
    pip = [VENV_PYTHON, "-m", "pip", "--disable-pip-version-check", "install", "--no-user"]
    return run(pip + words)


def install(files):
    """Install requirements files into .venv. The stamp comes last: a broken install is resumed."""
    if not VENV.is_dir():
        if VENV.exists() or VENV.is_symlink():  # a file, or a link that leads nowhere
            fail(f"{VENV} is a file or a broken link, but it must be a folder: rename it")
        if not os.access(ROOT, os.W_OK):
            fail(f"{ROOT} cannot be written to, but .venv must go there: copy the project")
    problem = why_no_torch()
    if problem and "torch" in dict(read_pins(REQUIREMENTS, sys.version_info[:2])):
        fail(problem)
    uv = find_uv()
    size = download_size(uv) if files == [REQUIREMENTS] else "less than a minute"
    print(f"Installing {files[-1].name} into .venv, once: {size}.", flush=True)
    stamp, note = stamp_of(files)
    if stamp.is_dir():
        shutil.rmtree(stamp)
    stamp.unlink(missing_ok=True)
    if not venv_is_complete() and run([sys.executable, "-m", "venv", "--clear", VENV]) != 0:
        shutil.rmtree(VENV, ignore_errors=True)
        fail("could not make .venv; the lines above say why")
    if install_with(uv, files) != 0:
        fail("the installation failed; the lines above say why, and the same command resumes it")
    if not venv_has(files):
        how = f"look for target, prefix or root in: {VENV_PYTHON} -m pip config list"
        fail(f"pip ended well, but .venv still lacks packages of {files[-1].name}; {how}")
    stamp.write_bytes(note)


def find_python(dev=False):
    """The Python to run everything with: this one if it has what is needed, otherwise .venv's.

    dev: also ask for what only tests, lint, notebooks and the website need.
    """
    # The children do not get PYTHONPATH, so what it adds must not count here.
    foreign = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    foreign = [os.path.abspath(path) for path in foreign if path]
    sys.path[:] = [path for path in sys.path if path not in foreign]
    files = [REQUIREMENTS, DEV_REQUIREMENTS] if dev else [REQUIREMENTS]
    try:
        if has(files):
            return sys.executable
        for count in range(1, len(files) + 1):
            if not is_installed(files[:count]):
                install(files[:count])
    except ValueError as error:
        fail(error)
    except OSError as error:
        problem = f"{error.filename}: {error.strerror}"
        fail(f"{problem}; run.py needs a complete copy of the project that it can write to")
    return str(VENV_PYTHON)


# --- children ---

children = []  # the latest child
stops = []  # the signals that asked this program to end


def stop(signum, frame):
    """Let the child end in its own time, and start no further stage.

    The terminal sends Ctrl-C to the child as well, but whoever sends SIGTERM sends it only here.
    """
    stops.append(signum)
    if signum == signal.SIGTERM:
        for child in children:
            if child.poll() is None:
                child.terminate()


def environment():
    """The environment of a child: it prints UTF-8 on every system, and each line at once."""
    settings = {name for name in os.environ if name.startswith(("PIP_", "UV_"))}
    foreign = FOREIGN | {name for name in settings if not SOURCES.fullmatch(name)}
    kept = {name: value for name, value in os.environ.items() if name not in foreign}
    return {**kept, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}


def start(command, **options):
    """Start a child in the environment above."""
    env = environment()
    child = subprocess.Popen([str(word) for word in command], env=env, **options)
    children[:] = [child]
    return child


def low_priority():
    """Options of start() for a child that leaves the processor to whatever else wants it."""
    if os.name == "nt":
        return {"creationflags": subprocess.BELOW_NORMAL_PRIORITY_CLASS}
    return {"preexec_fn": lambda: os.nice(10)}


def run(command, lines=None, **options):
    """Run a child to its end and return its status; for a signal 128 + its number, as shells do.

    lines: a list. If given, every line that the child prints is shown and appended to it, as bytes.
    """
    if lines is None:
        status = start(command, **options).wait()
    else:
        with start(command, stdout=subprocess.PIPE, **options) as child:
            for line in child.stdout:
                sys.stdout.buffer.write(line)
                sys.stdout.buffer.flush()
                lines.append(line.replace(b"\r\n", b"\n"))
        status = child.returncode
    if stops and status == 0:  # the stop came too late for the child, but nothing else may start
        return INTERRUPTED
    return status if status >= 0 else 128 - status


# --- targets ---


def stage_folders():
    return sorted(main.parent for main in ROOT.glob("[0-9][0-9]_*/main.py"))


def find_stage(words):
    """The folder of the stage that the first word names: 4, 04 or 04_embedding_mlp."""
    word = words[0].rstrip("/\\") if words else ""
    for folder in stage_folders():
        if word in (folder.name, folder.name[:2], folder.name[:2].lstrip("0")):
            return folder
    problem = f"there is no stage {word!r}" if word else "which stage? give its number"
    return fail(f"{problem}; the stages are {', '.join(f.name for f in stage_folders())}")


def resume_flag(folder):
    """["--resume"] if a training that did not end has left its state in this folder, else []."""
    return ["--resume"] if any(folder.glob("checkpoint*")) else []


def train(python, folder, words, keep=False, resume=False, out=None):
    """Run a stage's main.py and then, if it has one, its PyTorch twin. Returns the exit status.

    The twin gets the same words, and runs only if they mean the same to it. keep: write the output
    of both to output.txt, unless one fails. resume: go on with a training that did not end. out:
    the folder for the results of all stages, if it is not out/.
    """
    lines = [] if keep else None
    home = (out or ROOT / "out") / folder.name
    more = resume_flag(home) if resume else []
    place = ["--out", home] if out else []
    status = run([python, folder / "main.py", *words, *place, *more], lines)
    twin = folder / "torch_twin.py"
    if status == 0 and twin.exists():
        flags = {word.split("=")[0] for word in words if word.startswith("-")}
        if flags <= {"--data", "--seed"}:
            more = resume_flag(home / "twin") if resume else []
            place = ["--out", home / "twin"] if out else []
            status = run([python, twin, *words, *place, *more], lines)
        else:
            command = f"{python} {folder.name}/{twin.name}"
            print(f"the twin did not run, because its flags differ; to train it: {command}")
    if keep and status in (0, INTERRUPTED):
        output = home / "output.txt"
        output.parent.mkdir(parents=True, exist_ok=True)
        output.with_suffix(".part").write_bytes(b"".join(lines))
        os.replace(output.with_suffix(".part"), output)
    return status


def show_results(python, out=None):
    """Print the loss table and draw the pictures of out/, or of another folder with results.

    Returns the status of the table.
    """
    where = ["--from", out] if out else []
    quiet = ["--quiet"] if out else []  # there, no stage is missing: some have no part in it
    status = run([python, ROOT / "tools/table.py", *where, *quiet])
    if not stops:
        run([python, ROOT / "tools/plots.py", *where], stdout=subprocess.DEVNULL)
    return status


def run_stage(words):
    folder, python, began = find_stage(words), find_python(), time.time()
    status = train(python, folder, words[1:])
    results = sorted((ROOT / "out" / folder.name).rglob("result.json"))
    new = [result.parent for result in results if result.stat().st_mtime > began]
    if new:
        # In the background, because drawing takes longer than all of stage 02.
        plots = [python, ROOT / "tools/plots.py", "--stage", folder.name[:2]]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        start(plots, start_new_session=True, **quiet, **low_priority())
        print(f"pictures are being drawn into {new[0].relative_to(ROOT).as_posix()}")
    return status


def take(words, flag):
    """Remove `flag VALUE` or `flag=VALUE` from a list of words. Returns the value, or None."""
    for i, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name == flag and not equals and i + 1 == len(words):
            fail(f"{flag} needs a file or a folder after it")
        if name == flag:
            found = words[i : i + 1 if equals else i + 2]
            del words[i : i + len(found)]
            return value if equals else found[1]
    return None


def own_folder(data, words):
    """Where the stages' results on this file of the user's own go: out/own/my_names, or
    out/own/my_names,steps-500 with other words than the usual ones.
    """
    name = Path(data).resolve().stem + re.sub(r"(^|\s)--", ",", " ".join(words))
    name = re.sub(r"[^\w,.-]+", "-", name)[:80].strip(".")
    return ROOT / "out" / "own" / (name or "data")


def plan_stages(words):
    """What `stages` runs: (out, [(folder, the words for its main.py)]).

    --data gives names of the user's own to stages 02 to 05, and --text gives a running text to 06.
    Then a stage without such data is left out, and out is a folder of its own. Otherwise all stages
    run, and out is None, unless --out names a folder.
    """
    words = [*words]
    data, text, out = (take(words, flag) for flag in ("--data", "--text", "--out"))
    for flag, path in (("--data", data), ("--text", text)):
        if path is not None and not os.path.exists(path):  # Path's raises errors
            fail(f"{flag} {path}: there is no such file; give a text file")
    if data is None and text is None:
        return out and Path(out), [(folder, words) for folder in stage_folders()]
    of_stage = dict.fromkeys(("02", "03", "04", "05"), data) | {"06": text}
    jobs, left_out = [], []
    for folder in stage_folders():
        own = of_stage.get(folder.name[:2])
        if own is None:
            left_out.append(folder.name)
        else:
            jobs.append((folder, ["--data", own, *words]))
    if left_out:
        how = "--data FILE gives names to 02 to 05, and --text FILE gives a text to 06"
        print(f"left out: {', '.join(left_out)}; {how}")
    return Path(out) if out else own_folder(data or text, words), jobs


def idea(folder):
    """The first line of the docstring of a stage's main.py. Fails if main.py is no Python."""
    path = folder / "main.py"
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:  # ValueError: it holds bytes that are no text
        line = getattr(error, "lineno", None)
        where = f"{folder.name}/main.py" + (f", line {line}" if line else "")
        fail(f"{where}: {getattr(error, 'msg', error)}; mend it and run this again")
    return (ast.get_docstring(tree) or "").partition("\n")[0]


def read_finished(again):
    """The names of the stages that the last `stages` finished, if it was stopped before its end."""
    if again:
        SERIES.unlink(missing_ok=True)
    finished = SERIES.read_text("utf-8", "replace").split() if SERIES.is_file() else []
    if finished:
        how = "goes on after it; to repeat it: make stages ARGS=--again"
        print(f"the last make stages ended after {finished[-1]}, and this one {how}", flush=True)
    return finished


def run_stages(words):
    python, began, status = find_python(), time.monotonic(), 0
    again = "--again" in words
    words = [word for word in words if word != "--again"]
    finished = [] if words else read_finished(again)
    out, jobs = plan_stages(words)
    for number, (folder, of_stage) in enumerate(jobs, 1):
        if folder.name in finished:
            continue
        print(f"\n=== stage {number} of {len(jobs)}: {folder.name}: {idea(folder)}", flush=True)
        usual = not words  # the stages' own runs, with the usual settings
        status = train(python, folder, of_stage, usual, resume=usual and not again, out=out)
        if status != 0:
            how = "was interrupted" if status == INTERRUPTED else f"failed with status {status}"
            print(f"run.py: {folder.name} {how}, so no later stage runs", file=sys.stderr)
            break
        if not words:
            finished.append(folder.name)
            SERIES.parent.mkdir(exist_ok=True)
            SERIES.write_text("\n".join(finished), encoding="utf-8")
    else:
        if not words:
            SERIES.unlink(missing_ok=True)
    print(flush=True)
    made = out and os.path.isdir(out)
    if made or not out:
        show_results(python, out)
    if made:
        print(f"models, results and pictures: {out}")
    minutes, seconds = divmod(round(time.monotonic() - began), 60)
    print(f"{minutes} min {seconds} s in all")
    return status


def run_extras(words):
    python = find_python()
    for number, (script, *flags) in enumerate(EXTRAS, 1):
        print(f"\n=== {number} of {len(EXTRAS)}: {' '.join([script, *flags])}", flush=True)
        status = run([python, ROOT / script, *flags, *words])
        if status != 0:
            print(f"run.py: {script} ended with status {status}", file=sys.stderr)
            return status
    return show_results(python)


def run_ablate(words):
    stage = find_stage(words).name
    if stage not in ABLATIONS:
        fail(f"{stage} has no ablations; {' and '.join(ABLATIONS)} have")
    return run([find_python(), ROOT / ABLATIONS[stage], *words[1:]])


def run_families(words):
    python = find_python()
    status = run([python, ROOT / "extras/families.py", *words])
    run([python, ROOT / "tools/plots.py", "--stage", "05"], stdout=subprocess.DEVNULL)
    return status


def run_notebook(words):
    stage, notebooks = find_stage(words).name, ROOT / "tools/notebooks.py"
    return run([find_python(dev=True), notebooks, "--open", "--stage", stage, *words[1:]])


def run_tests(words):
    python = find_python(dev=True)
    # pytest looks for pyproject.toml where it starts.
    return run([python, "-m", "pytest", *workers(words), *words], cwd=ROOT)


def workers(words):
    """pytest's flags for one process per core, unless the words choose for themselves.

    With several processes, a test cannot use the terminal, which -s and --pdb are for.
    """
    words = [*os.environ.get("PYTEST_ADDOPTS", "").split(), *words]
    affinity = getattr(os, "sched_getaffinity", None)  # the cores that this process may use
    count = min(len(affinity(0)) if affinity else os.cpu_count() or 1, MOST_WORKERS)
    if count == 1 or any(map(ONE_PROCESS.fullmatch, words)):
        return []
    return ["-n", str(count), "--dist", "worksteal"]


def run_diff(words):
    stage = find_stage(words).name
    return run([find_python(), ROOT / "tools/diff.py", stage, *words[1:]])


def show_help(words):
    print(f"make TARGET [ARGS='...']    or    {PYTHON} run.py TARGET [arguments]")
    for heading, targets in (("To learn", LEARNING), ("To maintain the project", MAINTAINING)):
        print(f"\n{heading}:")
        for name, (_, line) in targets.items():
            print(f"  {name:<13}{line}")
    return 0


# Programs that go further than the stages. Each adds one or more rows to the table.
EXTRAS = (
    ("extras/ngrams.py",),
    ("extras/batchnorm.py",),
    ("extras/wavenet.py",),
    ("05_microgpt/torch_twin.py", "--preset", "best"),
    ("extras/shakespeare_bigram.py",),
    ("extras/byte_pair_gpt.py",),
    ("extras/fine_tune.py",),  # needs stage 06's model
    ("extras/preference.py",),  # needs the model of fine_tune.py
    ("extras/prompt_answer.py",),
)
ABLATIONS = {
    "05_microgpt": "extras/ablate_microgpt.py",
    "06_shakespeare_gpt": "extras/ablate_shakespeare.py",
}

# name: (a function of the words after it, or the start of a command for Python; the line of help)
LEARNING = {
    "stages": (run_stages, "run stages 1 to 6, then the loss table; ARGS=--again"),
    "stage": (run_stage, "run one stage: make stage 4, make stage 4 ARGS='--steps 500'"),
    "start": (["tools/learn", "start"], "begin to rebuild a stage or a set in my/: make start 3"),
    "check": (["tools/learn", "check"], "check your own stage; without a number: your progress"),
    "watch": (["tools/learn", "watch"], "check again at every save: make watch 3"),
    "hint": (["tools/learn", "hint"], "the next of three hints for the current exercise"),
    "solution": (["tools/learn", "solution"], "the reference beside your own code"),
    "predict": (["tools/learn", "predict"], "answer the lesson's questions before the run"),
    "museum": (["tools/learn", "museum"], "famous bugs: see one, find its cause: make museum mask"),
    "class": (["tools/learn", "class"], "check the my/ folders of a class: make class FOLDER"),
    "table": (["tools/table.py"], "the loss table of out/: --format markdown|json|csv, --from DIR"),
    "extras": (run_extras, "programs that go further: n-grams, WaveNet, fine-tuning, ..."),
    "explore": (["tools/explorer"], "a page on which your trained models answer, in a browser"),
    "score": (["tools/score.py"], "how much a text surprises each model: make score NAME=emma"),
    "generate": (["tools/generate.py"], "let models continue a beginning: ARGS='--prompt em'"),
    "ablate": (run_ablate, "what each part of a model is worth: make ablate 5, make ablate 6"),
    "modern": (["extras/modern_gpt.py"], "stage 06 with the parts of a modern GPT: four minutes"),
    "families": (run_families, "is attention better? counts, MLPs and GPTs compared, 10 minutes"),
    "plots": (["tools/plots.py"], "draw the pictures of out/ again"),
    "notebook": (run_notebook, "open a lesson in JupyterLab: make notebook 3"),
    "diff": (run_diff, "what a stage changes in the one before, part by part: make diff 4"),
    "check-setup": (["tools/check_setup.py"], "check that everything works, in 20 seconds"),
    "test": (run_tests, "run all tests but the slow ones"),
    "data": (["data/prepare.py"], "get every data set and verify it"),
    "help": (show_help, "print this list"),
}
MAINTAINING = {
    "seeds": (["tools/seeds.py"], "run the fast stages with three seeds, for the spread"),
    "published": (["tools/published.py"], "rerun published numbers and compare; --long for all"),
    "tries": (["tools/tries.py"], "run what the lessons suggest, for docs/answers.md"),
    "notebooks": (["tools/notebooks.py"], "run all lessons and write NN/lesson.ipynb"),
    "readme": (["tools/readme.py"], "fill the READMEs from results/; --check lists stale ones"),
    "reference": (["tools/keep_results.py"], "copy a complete run from out/ to results/"),
    "bench": (["tools/bench.py"], "measure the speed: --published FILE --nanogpt FOLDER"),
    "site": (["tools/build_site.py"], "build the whole course as a website in site/"),
    "lint": (["-m", "ruff", "check"], "check the style of the code"),
}
TARGETS = {**LEARNING, **MAINTAINING}
NEED_DEV = ("notebooks", "site", "lint")  # of those that are a command


def words_of_make():
    """The words after the target that make passes in the environment, and not to its children."""
    values = {name: os.environ.pop(f"ZERO_{name}", "") for name in MAKE_VARIABLES}
    words = values["N"].split()
    words += ["--exercise", values["EXERCISE"]] if values["EXERCISE"] else []
    words += [f"NAME={values['NAME']}"] if values["NAME"] else []
    lexer = shlex.shlex(values["ARGS"], posix=True)  # as a shell splits a line into words
    lexer.whitespace_split, lexer.commenters, lexer.escape = True, "", ESCAPE
    try:
        return words + list(lexer)
    except ValueError as error:
        return fail(f"ARGS={values['ARGS']!r}: {error}; give quotes in pairs")


def main(words):
    if sys.version_info < OLDEST_PYTHON:
        have = sys.version.split()[0]
        fail(f"this is Python {have}, but 3.10 or newer is needed; with make: PYTHON=python3.12")
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number and signal.getsignal(number) is not signal.SIG_IGN:  # as nohup does
            signal.signal(number, stop)
    words = [*words, *words_of_make()]
    target = words[0] if words else "help"
    target = "help" if target in ("-h", "--help") else target
    if target not in TARGETS:
        fail(f"there is no target {target!r}; {PYTHON} run.py help lists them")
    action, _ = TARGETS[target]
    if callable(action):
        return action(words[1:])
    python = find_python(dev=target in NEED_DEV)
    if action[0] == "-m":  # ruff looks for pyproject.toml where it starts
        return run([python, *action, *words[1:]], cwd=ROOT)
    return run([python, ROOT / action[0], *action[1:], *words[1:]])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
