"""Progress of a tool on stderr: the part that is at work, and the time that the rest will take."""

import sys
import time
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, TextColumn
from rich.text import Text

PAUSE = 3.0  # seconds of silence, after which a line is due where there is no terminal


def track(parts, label=str, weight=None):
    """Yield parts of a work one by one, and show on stderr which one it is and the time left.

    A terminal shows a bar, which vanishes at the end. Elsewhere, a line comes with each part that
    begins three seconds or more after the line before. label(part): its name. weight(part): how
    long it takes, in any unit; without it, all parts count alike.

    While the bar is there, print with print(): a Console of its own would write into the bar.
    """
    parts = list(parts)
    weights = [weight(part) if weight else 1 for part in parts]
    names = [f"{number} of {len(parts)}: {label(part)}" for number, part in enumerate(parts, 1)]
    console = Console(stderr=True)
    show = show_bar if console.is_terminal else show_lines
    return show(list(zip(parts, names, weights)), console)


class TimeLeft(ProgressColumn):
    """Counts down to task.fields["end"], which is None until the first part is done."""

    def render(self, task):
        end = task.fields["end"]
        return Text("" if end is None else as_time(max(0, end - time.monotonic())))


def show_bar(parts, console):
    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn()
    # What is printed meanwhile appears above the bar, but must not leave a file for the terminal.
    redirect = {"redirect_stdout": sys.stdout.isatty()}
    began, total, done = time.monotonic(), sum(weight for *_, weight in parts), 0
    with Progress(*columns, TimeLeft(), console=console, transient=True, **redirect) as progress:
        bar = progress.add_task("", total=total, end=None)
        for part, name, weight in parts:
            progress.update(bar, description=name)
            yield part
            done += weight
            end = began + (time.monotonic() - began) * total / done
            progress.update(bar, completed=done, end=end)


def show_lines(parts, console):
    began, total, done = time.monotonic(), sum(weight for *_, weight in parts), 0
    said = began
    for part, name, weight in parts:
        now = time.monotonic()
        if now - said >= PAUSE and done:
            left = as_time((now - began) * (total - done) / done)
            print(f"{name}, {left}", file=console.file, flush=True)
            said = now
        yield part
        done += weight


def as_time(seconds):
    return f"{timedelta(seconds=round(seconds))} left"
