"""Show what changes from one stage's main.py to the next: python run.py diff 4."""

import argparse
import difflib
import sys

from rich.console import Console
from rich.syntax import Syntax

from stages import ROOT, STAGES


def compare(before, after):
    """Return (summary, diff): a line with the counts, and a unified diff of two stages' main.py."""
    names = [f"{stage}/main.py" for stage in (before, after)]
    old, new = ((ROOT / name).read_text(encoding="utf-8").splitlines() for name in names)
    lines = list(difflib.unified_diff(old, new, *names, lineterm=""))
    body = lines[2:]  # the first two lines name the files
    added = sum(line.startswith("+") for line in body)
    removed = sum(line.startswith("-") for line in body)
    summary = f"{names[0]} to {names[1]}: {added} lines added, {removed} removed"
    return summary, "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(prog="diff", description="What a stage changes.")
    parser.add_argument("stage", choices=STAGES, help="the folder of the later stage")
    stage = parser.parse_args().stage
    if stage == STAGES[0]:
        print(f"{stage} is the first stage; give the number of a later one", file=sys.stderr)
        return 2
    summary, diff = compare(STAGES[STAGES.index(stage) - 1], stage)
    console = Console(markup=False, highlight=False)
    if console.is_terminal:
        style = {"theme": "ansi_dark", "background_color": "default"}
        console.print(summary, soft_wrap=True)
        console.print(Syntax(diff, "diff", word_wrap=True, **style))
    else:
        print(f"{summary}\n{diff}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
