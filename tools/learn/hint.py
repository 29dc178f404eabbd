"""make hint 3: the next of the three hints for the current exercise.

Hints that were shown stay readable: a later call shows them again. After a pass all three are.
"""

from rich.markdown import Markdown
from rich.padding import Padding
from rich.text import Text

from learn import progress
from learn.check import known_progress
from learn.exercises import find_lesson, parser, started
from learn.report import make_console, task

KINDS = ("a question", "the place in the lesson", "the formula")


def main(words):
    flags = parser("hint", __doc__)
    flags.add_argument("--exercise", default="", help="not the current exercise but this one")
    args = flags.parse_args(words)
    lesson = find_lesson(args.stage)
    started(lesson, args.my)
    console = make_console()
    record = known_progress(lesson, args.my)
    current = lesson.first_open(record.passed)
    chosen = lesson.exercise(args.exercise) if args.exercise else current
    if chosen is None:
        console.print(f"All exercises of {lesson.title} pass. These were the hints:")
        for exercise in lesson.exercises:
            console.print(Text(f"\n{exercise.name}", "bold"))
            print_hints(console, exercise, len(KINDS))
        return 0
    shown = min(record.hints.get(chosen.name, 0) + 1, len(KINDS))
    if chosen.name in record.passed:
        shown = len(KINDS)
    else:
        progress.save(args.my, lesson.stage, hints={**record.hints, chosen.name: shown})
    console.print(task(lesson, chosen))
    console.print()
    print_hints(console, chosen, shown)
    if chosen.name not in record.passed:
        more = f"For the next hint: make hint {lesson.word}"
        last = f"That was the last hint. To see a solution: make solution {lesson.word}"
        console.print(f"\n{more if shown < len(KINDS) else last}", style="dim")
    return 0


def print_hints(console, exercise, count):
    for number in range(count):
        console.print(Text(f"Hint {number + 1}: {KINDS[number]}", "dim"))
        console.print(Padding(Markdown(exercise.hints[number]), (0, 0, 0, 2)))
