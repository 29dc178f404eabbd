"""make solution 3: the reference beside your own code.

Without EXERCISE=name it shows the current exercise; if that is still blank, the one before. After
the last pass it shows all. For an exercise that has not passed yet, it asks first.
"""

from rich.syntax import Syntax
from rich.table import Table

from learn.check import known_progress
from learn.exercises import find_lesson, parser, started
from learn.report import make_console
from learn.source import function_text, is_blank
from learn.start import agreed
from visible import visible

SIDE_BY_SIDE = 120  # columns of a terminal in which two functions fit beside each other


def main(words):
    flags = parser("solution", __doc__)
    flags.add_argument("--exercise", default="", help="the exercise to show")
    flags.add_argument("--yes", action="store_true", help="do not ask")
    args = flags.parse_args(words)
    lesson = find_lesson(args.stage)
    folder = started(lesson, args.my)
    passed = known_progress(lesson, args.my).passed
    console = make_console()
    named = lesson.exercise(args.exercise) if args.exercise else None
    for exercise in [named] if named else choose(lesson, folder, passed):
        if exercise.name not in passed and not args.yes:
            question = f"{exercise.name} has not passed yet. Show the solution all the same? [y/N] "
            if not agreed(question):
                console.print(f"A hint instead: make hint {lesson.word}")
                return 1
        reference = function_text(read(lesson.source / exercise.file), exercise.function)
        yours = own_function(folder / exercise.file, exercise)
        show(console, exercise.name, {"the reference": reference, "yours": yours})
    return 0


def choose(lesson, folder, passed):
    """The open exercise, or the one before it while the open one is still blank, in a list.

    All, once all have passed.
    """
    current = lesson.first_open(passed)
    if current is None:
        return lesson.exercises
    place = lesson.names.index(current.name)
    try:
        untouched = is_blank(read(folder / current.file), current)
    except (OSError, SyntaxError):
        untouched = False
    return [lesson.exercises[place - 1] if untouched and place > 0 else current]


def read(path):
    return path.read_text(encoding="utf-8-sig")


def own_function(path, exercise):
    """The learner's function, or a comment that says why there is none."""
    try:
        text = function_text(read(path), exercise.function)
    except (OSError, SyntaxError):
        return f"# {path.name} cannot be read\n"
    return text or f"# {path.name} has no function {exercise.function}\n"


def show(console, name, texts):
    """Two pieces of code beside each other, or one below the other on a narrow terminal."""
    console.print(name, style="bold")
    style = {"theme": "ansi_dark", "background_color": "default", "word_wrap": True}
    codes = {
        title: Syntax(visible(text, "\n\t"), "python", **style) for title, text in texts.items()
    }
    if console.width >= SIDE_BY_SIDE:
        table = Table(*codes, box=None, expand=True, padding=(0, 2, 0, 0))
        table.add_row(*codes.values())
        console.print(table)
        return
    for title, code in codes.items():
        console.print(f"\n{title}", style="dim")
        console.print(code)
