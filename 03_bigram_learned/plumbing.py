"""What a run needs besides its model: flags, input files, progress, result.json and the loss curve.

Word for word the same file in every stage, so that each stage stands alone. Nothing here learns
anything; read main.py first. Standard library, but for torch and matplotlib where they are needed.
"""

import argparse
import dataclasses
import hashlib
import inspect
import io
import json
import math
import os
import platform
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

STAGE = Path(__file__).resolve().parent.name  # "02_bigram_counts"
ROOT = Path(__file__).resolve().parent.parent
SPLITS = ("train", "val", "test")


class BadInput(ValueError):
    """Something the user gave cannot be used; the message names it and the way out."""


# ---- flags -----------------------------------------------------------------------------------
class OneLineParser(argparse.ArgumentParser):
    """argparse, but a mistake costs one line instead of the whole usage text."""

    def error(self, message):
        self.exit(2, f"{self.prog}: error: {message} (--help lists the flags)\n")


def parse_flags(config_class, description, presets=None):
    """Turn each field of a dataclass into a flag; return the Config of this command line.

    The comment behind a field is its help text. `--n_embd` is accepted for `--n-embd`. presets maps
    a value of the flag --preset to fields that it sets; flags given besides it win. A flag that is
    unknown or out of range ends the program with one line and status 2.
    """
    helps = dict(re.findall(r"^    (\w+): .*?  # (.+)$", inspect.getsource(config_class), re.M))
    parser = OneLineParser(
        description=description, formatter_class=argparse.RawTextHelpFormatter, allow_abbrev=False
    )
    for field in dataclasses.fields(config_class):
        flag = "--" + field.name.replace("_", "-")
        kind = Path if isinstance(field.default, Path) else type(field.default)
        text = f"{helps[field.name]} (default: {field.default})".replace("%", "%%")
        if kind is bool:
            how = {"action": argparse.BooleanOptionalAction}
        else:
            how = {"type": kind, "metavar": kind.__name__.upper()}
        parser.add_argument(flag, default=field.default, help=text, **how)
    argv = []
    for arg in sys.argv[1:]:
        name, equals, value = arg.partition("=")
        argv.append((name.replace("_", "-") if name.startswith("--") else name) + equals + value)
    if presets:
        preset = parser.parse_known_args(argv)[0].preset
        if preset not in presets:
            parser.error(f"--preset {preset} is none of {', '.join(presets)}")
        parser.set_defaults(**presets[preset])
    try:
        return config_class(**vars(parser.parse_args(argv)))
    except BadInput as error:
        parser.error(str(error))


def check_ranges(config, **bounds):
    """Raise BadInput for the first field outside its (lowest, highest) allowed value."""
    for name, (low, high) in bounds.items():
        value = getattr(config, name)
        if not low <= value <= high:
            flag = "--" + name.replace("_", "-")
            raise BadInput(f"{flag} {value} is out of range: give a value from {low} to {high}")


# ---- input -----------------------------------------------------------------------------------
def read_text(path):
    """Return a file's text, whatever its line ends. BadInput if it is missing, empty or no text."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BadInput(f"--data {path}: {error.strerror}; give a text file") from error
    if b"\0" in raw:
        raise BadInput(f"--data {path}: a binary file; give plain text in UTF-8")
    try:
        text = raw.decode("utf-8-sig")  # with or without a byte order mark
    except UnicodeDecodeError as error:
        message = f"--data {path}: byte {error.start} is not UTF-8; save the file as UTF-8"
        raise BadInput(message) from error
    if not text.strip():
        raise BadInput(f"--data {path}: the file is empty; give a text file")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_docs(path):
    """Return a file's lines without surrounding space and without the blank ones, as read_text."""
    return [line.strip() for line in read_text(path).split("\n") if line.strip()]


def check_splits(path, splits):
    """Raise BadInput if one of the splits {name: documents} has no document."""
    for name, docs in splits.items():
        if not docs:
            raise BadInput(f"--data {path}: no line of it falls into {name}; give more lines")


def sha256(path):
    """The hash that tells data sets apart: of a file, or of a folder's three files in order."""
    files = [path / f"{name}.txt" for name in SPLITS] if path.is_dir() else [path]
    return hashlib.sha256(b"".join(f.read_bytes() for f in files if f.exists())).hexdigest()


def get_data(name):
    """Path of a data set that is not committed; fetched by data/prepare.py when it is missing."""
    path = ROOT / "data" / f"{name}.txt"
    prepare = ROOT / "data" / "prepare.py"
    if not path.exists() and call(prepare, name, stdout=2):  # to stderr, beside the run's output
        raise BadInput(f"{path} is missing and could not be fetched; --data takes another text")
    return path


def call(script, *arguments, **options):
    """Run a Python script to its end and return its status; Ctrl-C is the script's to handle."""
    previous_handler = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        command = [sys.executable, str(script), *map(str, arguments)]
        return subprocess.call(command, **options)
    finally:
        signal.signal(signal.SIGINT, previous_handler)


def prepare_out(out):
    """Make the output folder now, so that a run cannot fail at its end for want of a place."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise BadInput(f"--out {out}: {error.strerror}; give a folder you can write to") from error


# ---- progress --------------------------------------------------------------------------------
class Progress:
    """Counts the steps, shows the time left, and stops after the current step on Ctrl-C.

    for step in Progress(1000): ...  behaves like range(1000); with minutes it goes on until those
    are over, however many steps that takes. Where stderr is a terminal, one line there shows the
    step and the time left. A second Ctrl-C interrupts at once. done is the number of steps that
    were completed, seconds the time they took, share how much of the whole that is, from 0 to 1.
    """

    def __init__(self, steps, what="step", minutes=0.0):
        self.steps, self.what, self.limit = steps, what, 60 * minutes
        self.done, self.seconds, self.interrupted = 0, 0.0, False

    @property
    def over(self):
        return self.seconds >= self.limit if self.limit else self.done >= self.steps

    @property
    def share(self):
        return self.seconds / self.limit if self.limit else self.done / self.steps

    def __iter__(self):
        in_main_thread = threading.current_thread() is threading.main_thread()
        if in_main_thread:
            self.previous_handler = signal.signal(signal.SIGINT, self.stop)
        start = shown = time.perf_counter()
        try:
            while not (self.interrupted or self.over):
                yield self.done
                self.done += 1
                now = time.perf_counter()
                self.seconds = now - start
                if sys.stderr.isatty() and now - shown > 0.2:
                    shown = now
                    left = max(0, self.seconds / self.share - self.seconds)
                    line = f"{self.what} {self.done:,}, {self.share:.0%} done, {left:.0f} s left"
                    print(f"\r{line:<70}\r", end="", file=sys.stderr, flush=True)
        finally:
            if sys.stderr.isatty():
                print(f"\r{'':<70}\r", end="", file=sys.stderr, flush=True)
            if in_main_thread:
                signal.signal(signal.SIGINT, self.previous_handler)

    @property
    def status(self):
        """The exit status of a run: 0, or 130 as the shell has it for one ended by Ctrl-C."""
        return 130 if self.interrupted else 0

    def stop(self, signum, frame):
        self.interrupted = True
        signal.signal(signal.SIGINT, self.previous_handler)
        print("\nstopping; the result so far is being kept", file=sys.stderr, flush=True)


# ---- output ----------------------------------------------------------------------------------
def write_atomically(path, data):
    """Write bytes so that a reader sees the old file or the new one, never a half."""
    temporary = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def save_tensors(path, tensors):
    """Write {name: tensor} so that torch.load(path, weights_only=True) reads it back."""
    import torch

    buffer = io.BytesIO()
    torch.save(tensors, buffer)
    write_atomically(path, buffer.getvalue())


def finite(value):
    """The value with NaN and infinities replaced by None, which is what JSON can say."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, (list, tuple)) else value


def sizes(splits):
    """Documents and targets of each split; a document's targets are its characters and its end."""
    docs = {name: len(split) for name, split in splits.items()}
    targets = {name: sum(len(doc) + 1 for doc in split) for name, split in splits.items()}
    return {"docs": docs, "targets": targets}


def save_result(
    config, progress, idea, *, unit="nats/char", data=None, torch=None, device="cpu", **measured
):
    """Write result.json and loss.png into config.out and print the losses.

    measured holds what the stage knows: docs, targets, vocab_size, params, chars_seen (training
    targets), loss, curve (rows of step, train loss, val loss or None) and samples; more keys may
    follow. data is the file if it is not config.data, torch that module where the stage uses it.
    """
    docs = measured.pop("docs")
    data = data or config.data
    result = {
        "schema": 1,
        "stage": STAGE,
        "idea": idea,
        "unit": unit,
        **measured,
        "steps": progress.done,
        "seconds": round(progress.seconds, 3),
        "interrupted": progress.interrupted,
        "dataset": {"name": data.stem, "sha256": sha256(data), "docs": docs},
        "config": {
            key: str(value) if isinstance(value, Path) else value
            for key, value in dataclasses.asdict(config).items()
            if key not in ("data", "out")  # where files lie differs from machine to machine
        },
        "environment": {
            "python": platform.python_version(),
            "torch": torch.__version__ if torch else None,
            "device": device,
            "threads": torch.get_num_threads() if torch else 1,
        },
    }
    lines = [f"  {json.dumps(key)}: {json.dumps(finite(value))}" for key, value in result.items()]
    write_atomically(config.out / "result.json", ("{\n" + ",\n".join(lines) + "\n}\n").encode())
    losses = [f"{split} {loss:.4f}" for split, loss in result["loss"].items() if loss is not None]
    print(f"loss in {result['unit']}: {', '.join(losses)} ({result['seconds']:.1f} s of training)")
    draw_curve(config.out / "loss.png", result)


def draw_curve(path, result):
    """Draw loss against steps as a PNG; without matplotlib there is no picture and no error."""
    try:
        # Imported late, as this import alone takes longer than the whole of stage 02.
        from matplotlib.figure import Figure
    except ImportError:
        return
    figure = Figure(figsize=(6.4, 4), dpi=100, layout="constrained")
    axes = figure.subplots()
    for column, label in ((1, "train, as met in training"), (2, "val, whole split")):
        points = [(row[0], row[column]) for row in result["curve"] if row[column] is not None]
        if points:
            axes.plot(*zip(*points), ".-", label=label)
    if "vocab_size" in result:
        axes.axhline(math.log(result["vocab_size"]), color="grey", ls=":", label="uniform guess")
    if [row[0] for row in result["curve"]][:3] == [0, 1, 10]:  # looks at powers of ten
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xlim(-0.5, 2 * result["steps"])
    axes.set(title=result["stage"], xlabel="step", ylabel=f"loss ({result['unit']})")
    axes.legend()
    figure.savefig(path, metadata={"Software": None})


def run(main):
    """Call main(); bad input becomes one line and status 2, Ctrl-C becomes status 130."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # a console without the letter shows its code
    try:
        status = main()
    except BadInput as error:
        print(f"{Path(sys.argv[0]).name}: error: {error}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        print("\nstopped before there was a result to keep", file=sys.stderr)
        status = 130
    sys.exit(status)
