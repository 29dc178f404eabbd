"""What a run needs apart from its model: flags, one-line errors, the log of the steps, result.json.

Every stage has a copy of this file. Nothing in it learns, so read main.py first.
"""

import argparse
import dataclasses
import hashlib
import json
import math
import os
import platform
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from bisect import bisect
from datetime import timedelta
from pathlib import Path

# PyTorch's threads wait for each other in a busy loop. On a busy machine, this takes the processor
# away from the very thread that they are waiting for. This setting makes them sleep after a few
# turns. PyTorch reads it when it is imported, so main.py imports this file first.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

FOLDER = Path(__file__).resolve().parent
STAGE = FOLDER.name  # such as 02_bigram_counts
ROOT = next((up for up in FOLDER.parents if (up / "data").is_dir()), FOLDER.parent)
OUT = ROOT / "out" / FOLDER.relative_to(ROOT)  # where a run writes: out/02_bigram_counts
SPLITS = ("train", "val", "test")
LIBRARIES = ("matplotlib", "numpy", "rich", "tomli", "torch")  # of the stages and the tools
KEPT_STEPS = (0, *(k * 10**n for n in range(8) for k in (1, 3)))  # 0, 1, 3, 10, 30, ...
KEPT_NUMBERS = 100_000  # a larger model's weights would make its file many times as large


class BadInput(ValueError):
    """The user's input cannot be used. The message says what is wrong and how to fix it."""


def explain_missing(kind, error, trace):
    """If a library is missing, print one line that says how to go on instead of a traceback."""
    if kind is not ModuleNotFoundError or error.name not in LIBRARIES:
        return sys.__excepthook__(kind, error, trace)
    venv, launcher = ROOT / ".venv", ROOT / "run.py"
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if python.exists() and Path(sys.prefix).resolve() != venv.resolve():
        how, command = "run", [python, *sys.argv]
    elif launcher.exists():
        how, command = "to install it into .venv, run", [sys.executable, launcher, "check-setup"]
    else:  # in a copy of this folder
        how, command = "to install it, run", [sys.executable, "-m", "pip", "install", error.name]
    quote = subprocess.list2cmdline if os.name == "nt" else shlex.join
    how = f"this Python has no {error.name}; {how} {quote(map(str, command))}"
    print(f"{Path(sys.argv[0]).name}: error: {how}", file=sys.stderr)
    sys.exit(2)


sys.excepthook = explain_missing


# ---- printing --------------------------------------------------------------------------------
def visible(text, keep=""):
    """The text with an escape such as \\x1b for each character that a terminal obeys.

    Such characters move the cursor, end a line or turn text round. keep: those to leave alone.
    """
    obeyed = r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
    return re.sub(obeyed, lambda at: at[0] if at[0] in keep else ascii(at[0])[1:-1], text)


# ---- flags -----------------------------------------------------------------------------------
def flag(default, help, low=None, high=None, choices=None, alias=None):
    """A field of Config, which is also a flag. A number must lie between low and high."""
    about = {"help": help, "low": low, "high": high, "choices": choices, "alias": alias}
    return dataclasses.field(default=default, metadata=about)


def parse_flags(config_class, description, presets=None, tries=True):
    """Return the Config of this command line; `--n_embd` means `--n-embd`.

    presets: the fields that each value of --preset sets. Other flags override them. tries: whether
    other settings than the usual ones change the default of --out; see try_folder(). An unknown
    flag or a value out of range ends the program with one line and status 2.
    """
    style = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(
        description=description, formatter_class=style, allow_abbrev=False
    )
    # Print one line for a mistake, not argparse's complete usage text.
    parser.error = lambda problem: parser.exit(
        2, f"{parser.prog}: error: {visible(problem)}; see --help\n"
    )
    fields = {field.name: field for field in dataclasses.fields(config_class)}
    for name, field in fields.items():
        if "help" not in field.metadata:
            parser.error(f"Config.{name} has no help: write {name}: TYPE = flag(VALUE, HELP)")
        kind = Path if isinstance(field.default, Path) else type(field.default)
        how = {"type": kind, "metavar": kind.__name__.upper()}
        if kind is bool:
            how = {"action": argparse.BooleanOptionalAction}
        flags = [f"--{n.replace('_', '-')}" for n in (name, field.metadata["alias"]) if n]
        usual = f"{field.default}"
        if name == "out" and tries:
            usual += ", or tries/NAME in it if another setting is changed"
        text = f"{field.metadata['help']} (default: {usual})".replace("%", "%%")
        parser.add_argument(*flags, dest=name, default=field.default, help=text, **how)
    words = [re.sub("^--[^=]+", lambda found: found[0].replace("_", "-"), w) for w in sys.argv[1:]]
    preset = presets.get(parser.parse_known_args(words)[0].preset, {}) if presets else {}
    parser.set_defaults(**preset)
    values = vars(parser.parse_args(words))
    for name, value in values.items():
        about, given = fields[name].metadata, f"--{name.replace('_', '-')} {value}"
        if isinstance(value, list):  # of --seed=--, in which argparse sees no value
            parser.error(f"--{name.replace('_', '-')} needs a value")
        if about["choices"] and value not in about["choices"]:
            parser.error(f"{given} is unknown: give one of {', '.join(map(str, about['choices']))}")
        if about["low"] is not None and not about["low"] <= value <= about["high"]:
            between = f"from {about['low']} to {about['high']}"
            parser.error(f"{given} is out of range: give a value {between}")
    usual = {name: parser.get_default(name) for name in values}
    if "out" in preset:  # a preset with a folder of its own
        usual["preset"] = values["preset"]
    if tries and "out" in values and values["out"] is usual["out"]:  # no --out was given
        values["out"] = try_folder(values, usual)
    try:
        return config_class(**values)
    except BadInput as error:
        return parser.error(str(error))


def try_folder(values, usual):
    """Where a run writes without --out: out/STAGE for the usual settings, else a folder in its
    tries/, such as tries/block_size-8,steps-500. So a try never replaces the stage's own run.
    """
    words = []
    for name, value in values.items():
        if isinstance(value, Path):  # a file may be given by another path than the default's
            same, value = os.path.realpath(value) == os.path.realpath(usual[name]), value.stem
        else:
            same = value == usual[name]
        if not same:
            words.append(f"{name}-{value:g}" if type(value) is float else f"{name}-{value}")
    # A folder's name must not hold signs such as : and /, and must not be long.
    name = re.sub(r"[^\w,.-]+", "_", ",".join(words))[:80].rstrip(".")
    return usual["out"] / "tries" / name if words else usual["out"]


# ---- files -----------------------------------------------------------------------------------
LARGEST_FILE = 2**29  # bytes; a pipe may never end
read_hashes = {}  # path -> sha256 of the bytes that were read from it


def is_folder(path):
    """Whether this is a folder. Unlike Path.is_dir(), it never raises an error."""
    return os.path.isdir(path)


def read_text(path):
    """Return the text of a file with "\\n" line ends; first fetch it if data/prepare.py can.

    Raises BadInput if the file is missing, empty, too large, or not UTF-8 text.
    """
    fetched = (ROOT / "data/tinyshakespeare.txt", ROOT / "data/makemore.txt")
    if path.absolute() in fetched and not path.exists():
        subprocess.call([sys.executable, str(ROOT / "data/prepare.py"), path.stem], stdout=2)
    raw = bytearray()
    try:
        with path.open("rb") as file:
            while (piece := file.read(2**20)) and b"\0" not in piece and len(raw) <= LARGEST_FILE:
                raw += piece
        text = raw.decode("utf-8-sig")  # with or without a byte order mark
    except (OSError, UnicodeDecodeError) as error:
        problem = getattr(error, "strerror", "this is not UTF-8 text")
        raise BadInput(f"--data {path}: {problem}; give a text file") from error
    if not text.strip() or b"\0" in piece:
        raise BadInput(f"--data {path} is empty or a binary file: give a text file")
    if piece:
        raise BadInput(f"--data {path} has more than {LARGEST_FILE:,} bytes: give a smaller file")
    read_hashes[path] = hashlib.sha256(raw).hexdigest()
    return text.replace("\r\n", "\n").replace("\r", "\n")


def prepare_out(out):
    """Make the output folder before the training, so that a run does not fail at the end."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        raise BadInput(f"--out {out}: {error.strerror}; give a folder you can write to") from error


def write_files(folder, files):
    """Write {name: content}: a dict of tensors to a .pt file, text to any other.

    A reader finds the old files or the new ones, never a half-written file.
    """
    parts = {name: folder / f".{name}-{os.getpid()}" for name in files}
    try:
        for name, content in files.items():
            if name.endswith(".pt"):
                sys.modules["torch"].save(content, parts[name])
            else:
                parts[name].write_bytes(content.encode("utf-8"))
        for name, part in parts.items():
            os.replace(part, folder / name)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


# ---- stopping --------------------------------------------------------------------------------
class Stop:
    """Handles Ctrl-C, SIGTERM and SIGHUP, so that no training is lost.

    Before the training, a stop ends the run at once. During the training, it ends the training
    after the current step, and the run still scores and writes the model. During the scoring, it
    skips the scores that are still missing.
    """

    count, training_began = 0, False

    def __call__(self, signum, frame):
        if not self.training_began:
            raise KeyboardInterrupt
        self.count += 1
        print("\nstopping; the result so far will be kept", file=sys.stderr, flush=True)


stop = Stop()


def run(main):
    """Call main() and exit: status 2 and one line for bad input, 130 after a stop."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # show the code of a missing letter
    stop.count, stop.training_began, status = 0, False, 0
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number == signal.SIGINT or number and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)  # nohup ignores SIGHUP: keep that
    try:
        main()
    except BadInput as error:
        print(f"{Path(sys.argv[0]).name}: error: {visible(str(error))}", file=sys.stderr)
        status = 2
    except (MemoryError, RuntimeError) as error:
        if not re.search("memory|allocate|overflow", f"{type(error).__name__} {error}", re.I):
            raise
        problem = "not enough memory for these settings: give smaller sizes or a smaller batch"
        print(f"{Path(sys.argv[0]).name}: error: {problem}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        print("\nstopped before there was a result to keep", file=sys.stderr)
        status = 130
    sys.exit(130 if stop.count else status)


# ---- the steps -------------------------------------------------------------------------------
class Steps:
    """`for step in Steps(n, what)` counts from 0 to n - 1, and ends early after a stop.

    On a terminal, it shows the time left. If the steps will take more than ten seconds, it says so
    once, early on. If minutes is not 0, it counts for that long instead. done, seconds: the
    completed steps and the time that they took.
    """

    def __init__(self, steps, what, minutes=0.0):
        self.steps, self.what, self.limit = steps, what, 60 * minutes
        self.done, self.seconds, self.percent, self.announced = 0, 0.0, 0, False

    def __iter__(self):
        self.began, self.stops_before = time.perf_counter(), stop.count
        while self.share < 1 and not self.stopped:
            yield self.done
            self.done += 1
            self.seconds = time.perf_counter() - self.began
            self.after_step()

    @property
    def share(self):
        """The share of the steps that is done, from 0 to 1."""
        if self.limit:
            return min(1.0, self.seconds / self.limit)
        return self.done / self.steps if self.steps else 1.0

    @property
    def stopped(self):
        return stop.count > self.stops_before

    @property
    def seconds_left(self):
        """An estimate, when at least one step is done."""
        return self.seconds / self.share - self.seconds

    def after_step(self):
        left = timedelta(seconds=round(self.seconds_left))
        if self.seconds > 3 and not self.announced:
            self.announced = True
            if self.seconds + self.seconds_left > 10:
                line = f"{self.what} will take another {left} (hours:minutes:seconds)"
                print(line, file=sys.stderr, flush=True)
        if int(100 * self.share) > self.percent and sys.stderr.isatty():
            self.percent = int(100 * self.share)
            line = f"{self.what}: {self.percent}% done, {left} left" if self.share < 1 else ""
            print(f"\r{line:<60}\r", end="", file=sys.stderr, flush=True)


class Log(Steps):
    """The steps of a training, and the losses that are measured on the way.

    add(loss) records the loss of a batch. After each tenth of the steps, or after the steps in
    `looks`, and at the end, the log takes the mean of the recorded losses and measures the val
    loss. It prints both and adds a row [step, train loss, val loss] to the curve. A loss that was
    not measured is None.

    val_loss, train_loss: functions that measure a loss; train_loss replaces the mean. scoring: how
    many times as long as one val loss the scoring after the training takes. With it, the time left
    is that of training and scoring.

    weights: a function that returns a copy of the model's weights. The log calls it after each of
    the KEPT_STEPS but the last step, and keeps rows of [step, weights] in `kept`. Of a model with
    more than KEPT_NUMBERS weights it keeps none.
    """

    def __init__(
        self, steps, val_loss=None, train_loss=None, looks=None, minutes=0.0, scoring=0.0,
        weights=None,
    ):  # fmt: skip
        super().__init__(steps, "training and scoring" if scoring else "the training", minutes)
        tenth = max(1, steps // 10)
        self.looks = looks or range(tenth, steps + 1, tenth)
        self.val_loss, self.train_loss, self.scoring = val_loss, train_loss, scoring
        self.weights, self.kept = weights, []
        self.losses, self.curve, self.look_seconds = [], [], []

    def __iter__(self):
        self.look()
        stop.training_began = True
        for step in super().__iter__():
            if self.weights and step in KEPT_STEPS:
                self.keep()
            yield step
        if not self.curve or self.curve[-1][0] < self.done:
            self.look()
        elif self.val_loss and self.val is None:  # a stop came while it was being measured
            self.curve[-1][2] = self.val_loss()

    @property
    def val(self):
        """The latest val loss."""
        return self.curve[-1][2]

    @property
    def seconds_left(self):
        """An estimate. A look may take as long as many steps, so looks are counted apart."""
        if self.limit:
            left, looks = max(0.0, self.limit - self.seconds), 1
        else:
            in_steps = self.seconds - sum(self.look_seconds[1:])  # the first came before step 0
            left = in_steps / self.done * (self.steps - self.done)
            looks = bisect(self.looks, self.steps) - bisect(self.looks, self.done)
            looks += self.steps not in self.looks
        return left + (looks + self.scoring) * self.look_seconds[-1]

    def add(self, loss):
        """loss: a number, or a tensor without a gradient."""
        self.losses.append(loss)

    def after_step(self):
        super().after_step()
        if self.done in self.looks:
            self.look()

    def keep(self):
        """Add a copy of the weights to those kept, unless the model is too large."""
        weights = self.weights()
        if count_numbers(weights) > KEPT_NUMBERS:
            self.weights = None
        else:
            self.kept.append([self.done, weights])

    def look(self):
        """Measure the losses, print them and add them to the curve."""
        began = time.perf_counter()
        train = float(sum(self.losses) / len(self.losses)) if self.losses else None
        train = self.train_loss() if self.train_loss else train
        val = self.val_loss() if self.val_loss else None
        self.look_seconds.append(time.perf_counter() - began)
        if train is not None or val is not None:
            self.curve.append([self.done, train, val])
        if self.done:
            words = [f"step {self.done:{len(f'{self.steps:,}')},}"]
            words[0] += "" if self.limit else f" / {self.steps:,}"
            if self.val_loss is None:
                words += [f"loss {self.losses[-1]:.4f}"]
            elif train is not None:
                words += [f"{'train' if self.train_loss else 'batch'} loss {train:.4f}"]
            words += [] if val is None else [f"val loss {val:.4f}"]
            print(" | ".join(words), flush=True)
        self.losses = []


def count_numbers(weights):
    """How many numbers are in a tensor, in an array, or in lists and dicts of them."""
    if hasattr(weights, "shape"):
        return math.prod(weights.shape)
    if isinstance(weights, (dict, list)):
        return sum(map(count_numbers, weights.values() if isinstance(weights, dict) else weights))
    return 1


# ---- the result ------------------------------------------------------------------------------
def settings(config):
    """The fields of a Config except data and out, which differ from machine to machine."""
    fields = dataclasses.asdict(config).items()
    return {key: value for key, value in fields if key not in ("data", "out")}


def save_run(config, log, idea, files, *, unit="nats/char", data=None, device="cpu", **measured):
    """Write the model and result.json together into config.out, and print the losses.

    files: the files that load() reads, in the form that write_files() takes. data: the path that
    was read, if it is not config.data.

    measured: docs, targets, vocab_size, params, chars_seen (targets trained on), loss {split: loss
    or None}, samples; more keys may follow.
    """
    data, docs, torch = data or config.data, measured.pop("docs"), sys.modules.get("torch")
    measured["loss"] = {split: measured["loss"].get(split) for split in SPLITS}
    sha256 = read_hashes.get(data)
    if sha256 is None:  # it is a folder
        hashes = [read_hashes.get(data / f"{split}.txt", "") for split in SPLITS]
        sha256 = hashlib.sha256("".join(hashes).encode()).hexdigest()
    result = {
        "schema": 1,
        "stage": STAGE,
        "idea": idea,
        "unit": unit,
        **measured,
        "curve": log.curve,
        "kept_steps": [step for step, _ in getattr(log, "kept", [])],  # an extra's log has none
        "steps": log.done,
        "seconds": round(log.seconds, 3),
        "interrupted": stop.count > 0,
        "dataset": {"name": data.stem, "sha256": sha256, "docs": docs},
        "config": settings(config),
        "environment": {
            "python": platform.python_version(),
            "torch": torch.__version__ if torch else None,
            "device": device,
            "threads": torch.get_num_threads() if torch else 1,
        },
    }
    # JSON has neither NaN nor infinity: both become null.
    result = json.loads(json.dumps(result), parse_constant=lambda constant: None)
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in result.items()]
    write_files(config.out, {**files, "result.json": "{\n" + ",\n".join(lines) + "\n}\n"})
    losses = [f"{split} {loss:.4f}" for split, loss in measured["loss"].items() if loss is not None]
    print(f"loss in {unit}: {', '.join(losses)} ({log.seconds:.1f} s of training)")
    if config.out.parent.name == "tries":
        here = Path.cwd()
        near = config.out.is_relative_to(here)
        shown = config.out.relative_to(here) if near else config.out
        print(f"written to {visible(str(shown))}")
