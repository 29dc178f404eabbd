"""make watch 3: check again at every save.

Keys: h the next hint, r check again, q quit. Without a terminal it prints one line for each check.
The errors of the next exercise appear only after your next save, or after r.
"""

import time

from rich.padding import Padding
from rich.text import Text

from learn import hint, progress
from learn.check import first_failure, print_pass, remember
from learn.exercises import find_lesson, parser, short, started
from learn.keys import Keys
from learn.report import bar, make_console, print_open, task
from learn.run_checks import run_checks

PAUSE = 0.2  # seconds between two looks at the files
HELP = "h hint   r check again   q quit"


def main(words):
    args = parser("watch", __doc__).parse_args(words)
    lesson = find_lesson(args.stage)
    folder = started(lesson, args.my)
    with Keys() as keys:
        return Watch(lesson, args.my, folder, keys).run()


class Watch:
    def __init__(self, lesson, my, folder, keys):
        self.lesson, self.my, self.folder, self.keys = lesson, my, folder, keys
        self.console = make_console()
        self.key = ""  # pressed during a check

    def run(self):
        """Check, wait for a save or a key, and so on. Returns the exit status."""
        if not self.console.is_terminal:
            self.console.print(f"watching {short(self.folder)}")
        while True:
            saved = look(self.folder)
            current = self.lesson.first_open(progress.read(self.my, self.lesson.stage).passed)
            if self.console.is_terminal:
                self.draw_top("checking ...")
            outcome = run_checks(
                self.lesson, self.folder, cancel=lambda saved=saved: self.outdated(saved)
            )
            if self.key == "q":
                return 0
            if outcome.cancelled:
                continue
            passed = remember(self.lesson, self.my, outcome)
            self.show(outcome, passed, current)
            if outcome.complete:
                return 0
            if self.wait(saved) == "q":
                return 0

    def outdated(self, saved):
        """Whether the check that is running should end: there is a newer save, or a key says so."""
        self.key = self.keys.read(0) or self.key
        return self.key in ("q", "r") or look(self.folder) != saved

    def wait(self, saved):
        """Wait for a save or a key. Returns the key."""
        key, self.key = self.key, ""
        while key not in ("q", "r") and look(self.folder) == saved:
            if key == "h":
                self.show_hint()
            key = self.keys.read(PAUSE)
        return key

    def show_hint(self):
        """The next hint, below what is on the screen."""
        self.console.print()
        hint.main([self.lesson.stage, "--my", str(self.my)])

    # --- what is shown ---

    def draw_top(self, state):
        self.console.clear()
        passed = progress.read(self.my, self.lesson.stage).passed
        now = time.strftime("%H:%M:%S")
        self.console.print(
            Text.assemble(
                (self.lesson.stage, "bold"), "  ", bar(self.lesson, passed), f"   {now} {state}"
            )
        )
        self.console.print(Text(HELP, "dim"))
        self.console.print()

    def show(self, outcome, passed, current):
        """The result of a check. current: the exercise that was open before it."""
        if not self.console.is_terminal:
            self.console.print(self.line(outcome, passed, current), soft_wrap=True)
            return
        self.draw_top("checked")
        if outcome.complete:
            self.console.print(f"All exercises of {self.lesson.title} pass.", style="bold")
            self.console.print(self.to_go_on())
            return
        name, failure = first_failure(outcome)
        if current and current.name in passed:
            self.show_pass(current, self.lesson.exercise(name))
            return
        print_open(self.console, self.lesson, name, failure, self.folder)
        if current and not outcome.stop and name != current.name:
            note = f"{name} passed before. Mend it first; you were working on {current.name}."
            self.console.print(Padding(Text(note, "bold"), (1, 0, 0, 4)))

    def show_pass(self, exercise, following):
        """What was learned, if it is new, and the next task, without its errors."""
        print_pass(self.console, self.lesson, self.my, exercise)
        self.console.print(task(self.lesson, following))
        self.console.print(Text("\nIt is checked at your next save.", "dim"))

    def to_go_on(self):
        """What to do after the last exercise."""
        train = f"To train your own model: make check {self.lesson.word}"
        return self.lesson.next if self.lesson.is_set else train

    def line(self, outcome, passed, current):
        """One line for a check: 12:03:04  2 of 8 passed; forward: came ..., expected ...: words"""
        count = f"{time.strftime('%H:%M:%S')}  {len(passed)} of {len(self.lesson.names)} passed"
        if outcome.complete:
            return f"{count}. {self.to_go_on()}"
        name, failure = first_failure(outcome)
        if current and current.name in passed:
            return f"{count}; {current.name} passed, next: {name}"
        parts = [f"{key} {failure[key]}" for key in ("came", "expected") if failure.get(key)]
        words = " ".join([", ".join(parts) + ":" if parts else "", failure.get("words", "")])
        return f"{count}; {name}: {words.strip()}"


def look(folder):
    """What changes with a save: the time and size of each file of Python."""
    seen = {}
    for path in folder.glob("*.py"):
        try:
            status = path.stat()
        except OSError:  # an editor is just replacing it
            continue
        seen[path.name] = (status.st_mtime_ns, status.st_size)
    return seen
