"""Write out/explorer.html: one page on which the models in out/ answer, and open it in a browser.

    python3 run.py explore                        the models of out/
    python3 run.py explore --compare out-old      with those of a second run beside them
    python3 run.py explore --data my_names.txt    the names that the models were trained on

The page holds the weights, the names and all code. It needs no server and no network.
"""

import argparse
import os
import sys
import webbrowser
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # tools/, for explorer and stages

from stages import ROOT

from atomic_write import write_atomically
from command_line import Parser, fail, run_tool
from explorer.export import Problem, collect
from explorer.page import build_page
from visible import visible

# A browser that the reader chose, X11, Wayland.
DISPLAY = {"BROWSER", "DISPLAY", "WAYLAND_DISPLAY"}


def main():
    parser = Parser(
        prog="explore", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--from", dest="run", type=Path, default=ROOT / "out", help="default: out")
    parser.add_argument("--compare", type=Path, metavar="DIR", help="a second run's folder")
    parser.add_argument("--data", type=Path, metavar="FILE", help="the names used for training")
    parser.add_argument("--out", type=Path, help="default: explorer.html in the run's folder")
    parser.add_argument("--no-open", action="store_true", help="only write the page")
    args = parser.parse_args()
    out = args.out or args.run / "explorer.html"
    try:
        page, lines = build_page(*collect(args.run, args.compare, args.data))
        write_page(out, page)
    except Problem as problem:
        return fail("explore", str(problem))
    for line in lines:
        print(visible(line))
    print(visible(f"written to {out} ({len(page) / 1e6:.1f} MB)"))
    if not args.no_open and not open_in_browser(out.resolve()):
        print(visible(f"no browser was found: open {out.resolve()} in one"))
    return 0


def write_page(out, page):
    try:
        if out.exists() and not out.is_file():  # a folder or a device, which must stay
            raise Problem(f"--out {out} is no file; give a file that you can write to")
        write_atomically(out, page)
    except OSError as error:
        problem = f"--out {out}: {error.strerror}; give a file that you can write to"
        raise Problem(problem) from error


def open_in_browser(page):
    """Whether a browser was started. Without a display, Python would start one in the terminal."""
    has_display = sys.platform in ("win32", "darwin") or DISPLAY & os.environ.keys()
    return bool(has_display) and webbrowser.open(page.as_uri())


if __name__ == "__main__":
    run_tool("explore", main)
