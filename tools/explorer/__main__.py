"""Write out/explorer.html: one page on which the models in out/ answer, and open it in a browser.

    python3 run.py explore                        the models of out/
    python3 run.py explore --compare out-old      with those of a second run beside them
    python3 run.py explore --data my_names.txt    the names that the models were trained on

The page holds the weights, the names and all code. It needs no server and no network.
"""

import argparse
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
        write_atomically(out, page)
    except Problem as problem:
        return fail("explore", str(problem))
    except OSError as error:
        problem = f"--out {out}: {error.strerror}; give a file that you can write to"
        return fail("explore", problem)
    for line in lines:
        print(visible(line))
    print(visible(f"written to {out} ({len(page) / 1e6:.1f} MB)"))
    if not args.no_open and not webbrowser.open(out.resolve().as_uri()):
        print(visible(f"no browser was found: open {out.resolve()} in one"))
    return 0


if __name__ == "__main__":
    run_tool("explore", main)
