"""What a run needs apart from its model: flags, one-line errors, Ctrl-C, the log of the steps,
checkpoints, result.json.

Every stage has a copy of this file. Nothing in it learns, so read main.py first.
"""

import argparse
import copy
import dataclasses
import hashlib
import io
import json
import math
import os
import platform
import random
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from bisect import bisect
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

# PyTorch's threads wait for each other in a busy loop. On a busy machine, this takes the processor
# away from the very thread that they are waiting for. This setting makes them sleep after a few
# turns. PyTorch reads it when it is imported, so main.py imports this file first.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def cpu_quota(system=Path("/")):
    """How many cores' worth of time Linux's control groups give this process; None if no limit.

    A container may see all 16 cores of its host and have the time of 2. Then 16 threads would spend
    most of it waiting for each other.
    """
    quotas = []
    with suppress(OSError, ValueError):  # on another system
        for line in (system / "proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, group = line.split(":", 2)
            if controllers and "cpu" not in controllers.split(","):
                continue
            mount, files = system / "sys/fs/cgroup", ["cpu.max"]
            if controllers:  # version 1
                mount, files = mount / "cpu", ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
            group = Path(group.lstrip("/"))
            for place in (group, *group.parents):  # the limit of a parent holds as well
                with suppress(OSError, ValueError):  # a file is missing, or the quota is "max"
                    texts = [(mount / place / file).read_text(encoding="utf-8") for file in files]
                    quota, period = map(int, " ".join(texts).split())
                    quotas += [quota / period] if quota > 0 else []
    return min(quotas, default=None)


def limit_threads(quota):
    """Let PyTorch and NumPy start no more threads than the quota has cores."""
    affinity = getattr(os, "sched_getaffinity", None)  # they know of this limit
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    if quota is not None and quota < cores:
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, int(quota))))


limit_threads(cpu_quota())

FOLDER = Path(__file__).resolve().parent
STAGE = FOLDER.name  # such as 02_bigram_counts
ROOT = next((up for up in FOLDER.parents if (up / "data").is_dir()), FOLDER.parent)
OUT = ROOT / "out" / FOLDER.relative_to(ROOT)  # where a run writes: out/02_bigram_counts
SPLITS = ("train", "val", "test")
LIBRARIES = ("matplotlib", "numpy", "rich", "tomli", "torch")  # of the stages and the tools
CHECKPOINT_SECONDS = 10  # of training, between two checkpoints and before the first
CHECKPOINT_VERSION = 1  # of the form of a checkpoint
KEPT_STEPS = (0, *(k * 10**n for n in range(8) for k in (1, 3)))  # 0, 1, 3, 10, 30, ...
KEPT_NUMBERS = 100_000  # a larger model's weights would make its file many times as large


class BadInput(ValueError):
    """The user's input cannot be used. The message says what is wrong and how to fix it."""


class Flawed(Exception):
    """The run has ended, but not as it should. The message says why, and what is kept of it."""


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


class Output:
    """A stream to print to. Once it can no longer be written to, it is silent, and the run goes on.

    problem: why it is silent.
    """

    def __init__(self, stream):
        self.stream, self.problem = stream, None

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def write(self, text):
        return self.attempt(self.stream.write, text)

    def flush(self):
        return self.attempt(self.stream.flush)

    def attempt(self, action, *arguments):
        try:
            return action(*arguments)
        except OSError as error:
            self.problem = error.strerror
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())  # also for what is still in the buffer
            os.close(nowhere)


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
        usual = visible(f"{field.default}") or "none"
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
        if name == "resume":
            continue
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


def note_hash(path, raw):
    """Remember which bytes a path stood for in this run."""
    read_hashes[path] = hashlib.sha256(raw).hexdigest()


def read_text(path, given_as="--data"):
    """Return the text of a file with "\\n" line ends; first fetch it if data/prepare.py can.

    given_as: the flag, for the message. Raises BadInput if the file is missing, empty, too large,
    or not UTF-8 text.
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
        raise BadInput(f"{given_as} {path}: {problem}; give a text file") from error
    if not text.strip() or b"\0" in piece:
        raise BadInput(f"{given_as} {path} is empty or a binary file: give a text file")
    if piece:
        most = f"more than {LARGEST_FILE:,} bytes"
        raise BadInput(f"{given_as} {path} has {most}: give a smaller file")
    note_hash(path, raw)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def hash_of_data(data):
    """The sha256 of what was read from a file; of a folder, that of the hashes of its splits."""
    if data in read_hashes:
        return read_hashes[data]
    hashes = [read_hashes.get(data / f"{split}.txt", "") for split in SPLITS]
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def prepare_out(out):
    """Make the output folder before the training, so that a run does not fail at the end.

    Raises BadInput if that is impossible, or if another run is writing to it.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        raise BadInput(f"--out {out}: {error.strerror}; give a folder you can write to") from error
    lock(out)
    for path in out.iterdir():
        if re.fullmatch(r"\.[\w-]+\.(json|pt|txt)-\d+", path.name):  # left by a killed run
            path.unlink(missing_ok=True)


locks = {}  # folder -> the handle of the system's lock on it


def lock(folder):
    """Keep other runs out of this folder. The system removes the lock when the program ends, even
    when it is killed. Raises BadInput if another run has the lock.
    """
    folder = folder.resolve()
    if folder in locks:
        return
    try:
        if os.name == "nt":
            import msvcrt

            # The system deletes this file when it is closed.
            handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_TEMPORARY)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            handle = os.open(folder, os.O_RDONLY)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        locks[folder] = handle
    except (BlockingIOError, PermissionError) as error:
        how = "wait until it has ended, or give another --out"
        raise BadInput(f"--out {folder}: another run is writing to it; {how}") from error
    except OSError:
        pass  # on a file system without locks


def unlock_all():
    while locks:
        os.close(locks.popitem()[1])


def write_files(folder, files):
    """Write {name: content}: a dict of tensors to a .pt file, text to any other.

    A reader finds the old files or the new ones, never a half-written file.
    """
    folder.mkdir(parents=True, exist_ok=True)  # it may have been removed during the run
    parts = {name: folder / f".{name}-{os.getpid()}" for name in files}
    try:
        for name, content in files.items():
            if name.endswith(".pt"):
                buffer = io.BytesIO()  # because torch.save() does not say why a disk refuses
                sys.modules["torch"].save(content, buffer)
                parts[name].write_bytes(buffer.getbuffer())
            else:
                parts[name].write_bytes(content.encode("utf-8"))
        for part in parts.values():
            with part.open("rb+") as file:
                os.fsync(file.fileno())  # to the disk, so that not even a power cut leaves half
        for name, part in parts.items():
            os.replace(part, folder / name)
    finally:
        for part in parts.values():
            with suppress(OSError):
                part.unlink()


# ---- stopping --------------------------------------------------------------------------------
class Stop:
    """Handles Ctrl-C, SIGTERM and SIGHUP, so that no training is lost.

    Before the training, a stop ends the run at once. Afterwards, it ends what is going on, such as
    the training after its current step. The run then starts nothing that takes long, and writes the
    model and the losses that it knows.
    """

    count, training_began = 0, False

    def __call__(self, signum, frame):
        if not self.training_began:
            raise KeyboardInterrupt
        self.count += 1
        # Do not fail if the terminal is gone, or if the signal came in the midst of another print.
        with suppress(OSError, RuntimeError):
            print("\nstopping; the result so far will be kept", file=sys.stderr, flush=True)


def handle_stops(handler):
    """Call handler(signum, frame) for Ctrl-C, SIGTERM and SIGHUP."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number == signal.SIGINT or number and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)  # nohup ignores SIGHUP: keep that


def leave(signum, frame):
    """End the program at once. An exception could be lost within the import of PyTorch."""
    with suppress(OSError):
        os.write(2, b"\nstopped before there was a result to keep\n")
    os._exit(130)


def unless_stopped(*items):
    """The items one by one, until a stop comes: `for split in unless_stopped("train", "test")`"""
    for item in items:
        if stop.count:
            break
        yield item


stop = Stop()
alone = Path(sys.argv[0]).resolve().parent in (FOLDER, ROOT / "extras")  # no test, no notebook
if alone and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    handle_stops(leave)  # until run() is called


def run(main):
    """Call main() and exit: status 2 and one line for bad input, 130 after a stop, 1 and one line
    for what else went wrong.
    """
    streams = sys.stdout, sys.stderr
    for stream in filter(None, streams):  # None if it was closed before the start
        stream.reconfigure(errors="backslashreplace")  # show the code of a missing letter
    printed = sys.stdout, sys.stderr = [stream and Output(stream) for stream in streams]
    stop.count, stop.training_began, status = 0, False, 0
    handle_stops(stop)
    try:
        main()
        if printed[0]:
            printed[0].flush()
            if printed[0].problem:
                raise Flawed(f"not all could be printed: {printed[0].problem}")
    except (BadInput, Flawed) as error:
        print(f"{Path(sys.argv[0]).name}: error: {visible(str(error))}", file=sys.stderr)
        status = 2 if isinstance(error, BadInput) else 1
    except (MemoryError, RuntimeError) as error:
        if not re.search("memory|allocate|overflow", f"{type(error).__name__} {error}", re.I):
            raise
        problem = "not enough memory for these settings: give smaller sizes or a smaller batch"
        print(f"{Path(sys.argv[0]).name}: error: {problem}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        print("\nstopped before there was a result to keep", file=sys.stderr)
        status = 130
    finally:
        sys.stdout, sys.stderr = streams
        unlock_all()
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
        self.began, self.stops_before = time.perf_counter() - self.seconds, stop.count
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

    state: a list of all that the training changes, for the checkpoints; see take_state(). With
    checkpoints, a loss that is infinite or not a number ends the training, and all goes back to the
    state at the lowest val loss. If there is no val loss, the train loss decides.
    """

    # What a snapshot holds of the log.
    SAVED = ("done", "seconds", "chars_seen", "losses", "curve", "look_seconds", "kept")

    def __init__(
        self, steps, val_loss=None, train_loss=None, looks=None, minutes=0.0, scoring=0.0,
        weights=None, state=None,
    ):  # fmt: skip
        super().__init__(steps, "training and scoring" if scoring else "the training", minutes)
        tenth = max(1, steps // 10)
        self.looks = looks or range(tenth, steps + 1, tenth)
        self.val_loss, self.train_loss, self.scoring = val_loss, train_loss, scoring
        self.weights, self.kept = weights, []
        self.state = state if checkpoint else None
        self.chars_seen, self.losses, self.curve, self.look_seconds = 0, [], [], []
        self.diverged, self.best_loss, self.best = None, math.inf, None

    def __iter__(self):
        if self.state and checkpoint.saved:
            checkpoint.restore(self)
            self.best = copy.deepcopy(self.snapshot())
        else:
            self.look()
        stop.training_began = True
        for step in super().__iter__():
            if self.weights and step in KEPT_STEPS:
                self.keep()
            yield step
        if self.diverged:
            self.go_back(self.best)
            print(f"step {self.diverged:,}: the loss is not finite; back to step {self.done:,}")
            return
        looked = bool(self.curve) and self.curve[-1][0] == self.done
        if looked and self.val_loss and self.val is None:  # a stop came while it was being measured
            self.curve[-1][2] = self.val_loss()
        # A checkpoint must not have a row that only the stop has brought about.
        missing = looked and self.val_loss and self.val is None
        if not missing and self.state and self.seconds >= CHECKPOINT_SECONDS:
            checkpoint.write(self)
        if not looked:
            self.look()

    @property
    def stopped(self):
        return self.diverged is not None or super().stopped

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

    def add(self, loss, chars=0):
        """loss: a number, or a tensor without a gradient. chars: the targets in the batch."""
        self.losses.append(loss)
        self.chars_seen += chars
        if self.state and isinstance(loss, float) and not math.isfinite(loss):
            self.diverged = self.done + 1

    def after_step(self):
        super().after_step()
        if self.done in self.looks and not self.diverged:
            self.look()
        due = self.state and self.seconds >= checkpoint.seconds + CHECKPOINT_SECONDS
        if due and not self.stopped:  # after a stop, __iter__() writes the last one
            checkpoint.write(self)

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
        if self.state:
            self.judge([loss for loss in (val, train) if loss is not None])

    def judge(self, losses):
        """End the training if a loss is not finite, and keep the state if the first is the lowest
        so far.
        """
        loss = losses[0] if losses else math.inf
        if not all(map(math.isfinite, losses)):
            self.diverged = self.done
        elif self.best is None or loss < self.best_loss:
            self.best_loss, self.best = loss, copy.deepcopy(self.snapshot())

    def snapshot(self):
        """The log, and what the training changes."""
        log = {name: getattr(self, name) for name in self.SAVED}
        return {"log": log, "state": take_state(self.state)}

    def go_back(self, snapshot):
        """Set everything to a snapshot."""
        vars(self).update(snapshot["log"])
        put_state(self.state, snapshot["state"])


def count_numbers(weights):
    """How many numbers are in a tensor, in an array, or in lists and dicts of them."""
    if hasattr(weights, "shape"):
        return math.prod(weights.shape)
    if isinstance(weights, (dict, list)):
        return sum(map(count_numbers, weights.values() if isinstance(weights, dict) else weights))
    return 1


# ---- checkpoints -----------------------------------------------------------------------------
def take_state(thing):
    """What a checkpoint holds of a thing: numbers and tensors, in lists and dicts.

    thing: a module, an optimizer, a torch.Generator, a tensor, a Value, a number, or a list or dict
    of them.
    """
    if hasattr(thing, "state_dict"):
        return thing.state_dict()
    if hasattr(thing, "get_state"):
        return thing.get_state()
    if isinstance(thing, dict):
        return {key: take_state(value) for key, value in thing.items()}
    if isinstance(thing, list):
        return [take_state(value) for value in thing]
    return getattr(thing, "data", thing)


def is_plain(thing):
    """Whether this is a list of nothing but numbers and such lists."""
    numbers = (int, float)
    return isinstance(thing, list) and all(isinstance(i, numbers) or is_plain(i) for i in thing)


def put_state(thing, saved):
    """Set a thing to what take_state() gave. Returns the thing; for a number, the saved one."""
    if hasattr(thing, "load_state_dict"):
        thing.load_state_dict(saved)
    elif hasattr(thing, "set_state"):
        thing.set_state(saved)
    elif isinstance(thing, dict):
        thing.update({key: put_state(thing.get(key), value) for key, value in saved.items()})
    elif is_plain(thing):
        thing[:] = saved
    elif isinstance(thing, list):
        thing[:] = [put_state(*pair) for pair in zip(thing, saved, strict=True)]
    elif hasattr(thing, "copy_"):  # a tensor
        thing.data.copy_(saved)
    elif hasattr(thing, "data"):
        thing.data = saved
    else:
        return saved
    return thing


def random_sources():
    """{name: (the function that gets its state, the one that sets it)}"""
    sources, torch = {"python": (random.getstate, random.setstate)}, sys.modules.get("torch")
    if torch:
        sources["torch"] = (torch.get_rng_state, torch.set_rng_state)
        if torch.cuda.is_initialized():
            sources["cuda"] = (torch.cuda.get_rng_state, torch.cuda.set_rng_state)
        if torch.backends.mps.is_available():
            sources["mps"] = (torch.mps.get_rng_state, torch.mps.set_rng_state)
    return sources


class Checkpoint:
    """The latest state of the training, in config.out, from which --resume goes on.

    saved: what --resume has read. seconds: of training, up to the latest checkpoint.
    """

    def __init__(self, config, data):
        """Raises BadInput if --resume finds no checkpoint, or one of a run unlike this one."""
        self.folder, self.saved, self.seconds = config.out, None, 0.0
        self.kind = "pt" if "torch" in sys.modules else "json"
        self.latest, self.before = f"checkpoint.{self.kind}", f"checkpoint-before.{self.kind}"
        self.run = {
            "version": CHECKPOINT_VERSION,
            "settings": settings(config),
            "data": hash_of_data(data),
        }
        found = self.files()
        if config.resume:
            self.saved = self.read(found)
        elif found:
            print(
                f"{visible(str(found[0]))} is from a run that did not end, and --resume goes on "
                f"with it; this run starts over and will replace it", file=sys.stderr,
            )  # fmt: skip

    def files(self):
        """The checkpoints that there are, the latest first."""
        paths = self.folder / self.latest, self.folder / self.before
        return [path for path in paths if path.exists()]

    def read(self, found):
        """The content of the first of these files that is complete.

        Raises BadInput if none is, or if it is from a run unlike this one.
        """
        for path in found:
            try:
                if self.kind == "pt":
                    torch = sys.modules["torch"]
                    saved = torch.load(path, map_location="cpu", weights_only=True)
                else:
                    saved = json.loads(path.read_text(encoding="utf-8"))
                run = {key: saved[key] for key in self.run}
                break
            except Exception:  # a broken file can raise nearly anything
                continue
        else:
            raise BadInput(
                f"--resume: {self.folder} has no {'complete ' if found else ''}checkpoint; a run "
                f"has one from its first {CHECKPOINT_SECONDS} seconds of training until its end. "
                f"Leave out --resume to start over"
            )
        if path != found[0]:
            print(f"{visible(str(found[0]))} is broken, so {path.name} is used", file=sys.stderr)
        problem = None
        if run["version"] != CHECKPOINT_VERSION:
            problem = f"is of version {run['version']}, but this is {CHECKPOINT_VERSION}"
        elif run["settings"] != self.run["settings"]:
            old, new = run["settings"], self.run["settings"]
            flags = [
                f"--{name.replace('_', '-')} {old.get(name)}, not {new.get(name)}"
                for name in {**old, **new}
                if old.get(name) != new.get(name)
            ]
            problem = f"has {'; '.join(flags)}"
        elif run["data"] != self.run["data"]:
            problem = "is of a run on other data"
        if problem:
            how = "give what it was started with, or leave out --resume to start over"
            raise BadInput(f"--resume: {path} {problem}; {how}")
        return saved

    def restore(self, log):
        """Set the log, what the training changes and the random numbers to the checkpoint."""
        try:
            log.go_back(self.saved)
            for name, (_, put) in random_sources().items():
                if name in self.saved["random"]:
                    state = self.saved["random"][name]
                    put((state[0], tuple(state[1]), state[2]) if name == "python" else state)
        except Exception as error:  # a file from elsewhere can hold nearly anything
            problem = f"does not fit this program ({type(error).__name__})"
            raise BadInput(
                f"--resume: the checkpoint in {self.folder} {problem}; leave out --resume"
            ) from error
        self.saved, self.seconds = None, log.seconds
        print(f"going on after step {log.done:,} of {log.steps:,}", flush=True)

    def write(self, log):
        """Write the state of the training, and keep the checkpoint before it."""
        content = {
            **self.run,
            **log.snapshot(),
            "random": {name: get() for name, (get, _) in random_sources().items()},
        }
        self.seconds = log.seconds
        if self.kind == "json":
            content = json.dumps(content)
        try:
            with suppress(FileNotFoundError):
                os.replace(self.folder / self.latest, self.folder / self.before)
            write_files(self.folder, {self.latest: content})
        except OSError as error:
            line = f"no checkpoint was written to {self.folder}: {error.strerror}"
            print(f"{visible(line)}; the training goes on", file=sys.stderr)

    def end(self, log):
        """After the result: say how to go on after a stop, else delete the checkpoints."""
        if not stop.count or log.diverged:
            for path in self.files():
                path.unlink(missing_ok=True)
        elif self.files():
            print("to go on with the training, add --resume to the same command")


checkpoint = None  # the Checkpoint of this run; None if it keeps none


# ---- the result ------------------------------------------------------------------------------
def settings(config):
    """The fields of a Config except data, out and resume: what makes two runs the same."""
    fields = dataclasses.asdict(config).items()
    return {key: value for key, value in fields if key not in ("data", "out", "resume")}


def begin_run(config, data=None):
    """Prepare config.out and the checkpoints. data: the path that was read, if not config.data."""
    global checkpoint
    prepare_out(config.out)
    checkpoint = Checkpoint(config, data or config.data)


def place_after_stop(out):
    """Where a run that ended early writes: not over the result of a run that came to its end."""
    try:
        finished = not json.loads((out / "result.json").read_bytes())["interrupted"]
    except (OSError, ValueError, LookupError, TypeError):
        finished = False
    if not finished:
        return out
    is_try = out.parent.name == "tries"
    return out.with_name(f"{out.name},stopped") if is_try else out / "tries" / "stopped"


def write_run(out, files):
    """Write the files of a run to out, or to a temporary folder if that fails.

    Raises Flawed, which says where they are, if they are not in out.
    """
    try:
        return write_files(out, files)
    except OSError as error:
        problem = f"--out {out}: {error.strerror}"
    try:
        place = Path(tempfile.mkdtemp(prefix=f"{STAGE}-"))
        write_files(place, files)
    except OSError as error:
        if checkpoint and checkpoint.files():
            how = "make room, and add --resume to the same command"
        else:
            how = "the model is lost"
        raise Flawed(f"{problem}; {how}") from error
    raise Flawed(f"{problem}; the model and its result are in {place}")


def save_run(config, log, idea, files, *, unit="nats/char", data=None, device="cpu", **measured):
    """Write the model and result.json together into config.out, and print the losses.

    files: the files that load() reads, in the form that write_files() takes. data: the path that
    was read, if it is not config.data.

    After a run without a stop, delete its checkpoints. Raises Flawed after a training that
    diverged, and if the files could not be written.

    measured: docs, targets, vocab_size, params, chars_seen (targets trained on), loss {split: loss
    or None}, samples; more keys may follow.
    """
    global checkpoint
    data, docs, torch = data or config.data, measured.pop("docs"), sys.modules.get("torch")
    diverged = getattr(log, "diverged", None)  # an extra's own log may lack this
    early = stop.count > 0 or diverged is not None
    measured["loss"] = {split: measured["loss"].get(split) for split in SPLITS}
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
        "interrupted": early,
        "diverged": diverged is not None,
        "dataset": {"name": data.stem, "sha256": hash_of_data(data), "docs": docs},
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
    losses = [f"{split} {loss:.4f}" for split, loss in measured["loss"].items() if loss is not None]
    print(f"loss in {unit}: {', '.join(losses)} ({log.seconds:.1f} s of training)")
    out = place_after_stop(config.out) if early else config.out
    write_run(out, {**files, "result.json": "{\n" + ",\n".join(lines) + "\n}\n"})
    if out.parent.name == "tries":
        here = Path.cwd()
        shown = out.relative_to(here) if out.is_relative_to(here) else out
        print(f"written to {visible(str(shown))}")
    if checkpoint:
        checkpoint.end(log)
        checkpoint = None
    if diverged is not None:
        raise Flawed(
            f"the loss was infinite or not a number after step {diverged:,}, so this is the model "
            f"after step {log.done:,}; a lower --learning-rate may help"
        )
