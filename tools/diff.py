"""What changes from one stage's main.py to the next: python run.py diff 4."""

import argparse
import difflib
import sys
from pathlib import Path

from rich.console import Console
from rich.syntax import Syntax

ROOT = Path(__file__).resolve().parent.parent


def compare(before, after, root=ROOT):
    """Return (summary, diff): one line that counts, and a unified diff of the two main.py files."""
    names = [f"{stage}/main.py" for stage in (before, after)]
    old, new = ((root / name).read_text(encoding="utf-8").splitlines() for name in names)
    lines = list(difflib.unified_diff(old, new, *names, lineterm=""))
    body = lines[2:]  # behind the two lines that name the files
    added = sum(line.startswith("+") for line in body)
    removed = sum(line.startswith("-") for line in body)
    summary = f"{names[0]} to {names[1]}: {added} lines added, {removed} removed"
    return summary, "\n".join(lines)


def main():
    stages = sorted(main.parent.name for main in ROOT.glob("[0-9][0-9]_*/main.py"))
    parser = argparse.ArgumentParser(prog="diff", description="A stage against the one before.")
    parser.add_argument("stage", choices=stages, help="the folder of the later stage")
    stage = parser.parse_args().stage
    if stage == stages[0]:
        print(f"{stage} is the first stage: nothing comes before it", file=sys.stderr)
        return 2
    summary, diff = compare(stages[stages.index(stage) - 1], stage)
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
