"""make start 3: put a stage or a set into my/, with the bodies of its exercises taken out.

Starting again overwrites nothing. make start 3 EXERCISE=softmax makes one function blank again.
"""

import datetime
import shutil

from rich.text import Text

from learn import progress
from learn.exercises import (
    Problem,
    find_lesson,
    parser,
    short,
)
from learn.report import bar, make_console, task
from learn.source import blank, function_text, put


def main(words):
    flags = parser("start", __doc__)
    flags.add_argument("--exercise", default="", help="make this exercise blank again")
    flags.add_argument("--yes", action="store_true", help="do not ask")
    args = flags.parse_args(words)
    lesson = find_lesson(args.stage)
    console = make_console()
    if args.exercise:
        return reset(console, lesson, args.my, lesson.exercise(args.exercise), args.yes)
    folder = args.my.resolve() / lesson.stage
    begun = folder.is_dir()
    copied = copy_stage(lesson, folder)
    passed = [n for n in progress.read(args.my, lesson.stage).passed if n in lesson.names]
    if begun:
        console.print(f"{short(folder)} is there already, and nothing in it was overwritten.")
        for name in copied:
            console.print(f"{name} was missing, so it was copied.")
        console.print(f"{bar(lesson, passed)} passed.")
    else:
        *files, last = dict.fromkeys(exercise.file for exercise in lesson.exercises)
        names = f"{', '.join(files)} and {last}" if files else last
        console.print(f"{short(folder)} is yours now. Write in {names}.")
        print_list(console, lesson)
    exercise = lesson.first_open(passed)
    if exercise:
        console.print()
        console.print(task(lesson, exercise))
        word = lesson.word
        console.print(f"\nThen: make check {word}, or make watch {word} to check every save.")
    return 0


def print_list(console, lesson):
    console.print("The exercises, in this order:")
    width = max(map(len, lesson.names)) + 2
    digits = len(str(len(lesson.names)))
    for number, exercise in enumerate(lesson.exercises, 1):
        place = (f"{exercise.function} in {exercise.file}", "dim")
        console.print(Text.assemble(f"  {number:>{digits}}  {exercise.name:<{width}}", place))


def copy_stage(lesson, folder):
    """Copy those reference files that the folder lacks, blanked. Returns their names."""
    folder.mkdir(parents=True, exist_ok=True)
    copied = []
    for path in sorted(lesson.source.glob("*.py")):
        if not (folder / path.name).exists():
            text = blank_file(lesson, path.name)
            (folder / path.name).write_text(text, encoding="utf-8", newline="\n")
            copied.append(path.name)
    return copied


def blank_file(lesson, name):
    """The text of a reference file with all exercises taken out."""
    text = (lesson.source / name).read_text(encoding="utf-8")
    for exercise in lesson.exercises:
        if exercise.file == name:
            text = blank(text, exercise, lesson.word)
    return text


def reset(console, lesson, my, exercise, yes):
    """Make one function of the learner's file blank again, after a backup of the file."""
    path = my.resolve() / lesson.stage / exercise.file
    blank_form = function_text(blank_file(lesson, exercise.file), exercise.function)
    if not path.exists():
        raise Problem(f"{short(path)} does not exist; to get it: make start {lesson.word}")
    source = path.read_text(encoding="utf-8-sig")
    try:
        changed = put(source, exercise.function, blank_form)
    except (ValueError, SyntaxError) as error:
        console.print(f"This is the blank form of {exercise.function}:\n\n{blank_form}")
        problem = f"line {error.lineno}: {error.msg}" if isinstance(error, SyntaxError) else error
        raise Problem(f"paste it into {short(path)} yourself, because {problem}") from error
    question = f"Throw away your {exercise.function} in {short(path)}? [y/N] "
    if not yes and not agreed(question):
        console.print("Nothing was changed.")
        return 1
    backup = back_up(path)
    path.write_text(changed, encoding="utf-8", newline="\n")
    console.print(f"{exercise.function} is blank again. Your file as it was: {short(backup)}")
    return 0


def agreed(question):
    """Ask for y or n. No answer, as at the end of the input, is no."""
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:
        print()
        return False


def back_up(path):
    """Copy a file to backups/ beside it, with the date and time in its name."""
    now = datetime.datetime.now().strftime("%Y-%m-%d_%H.%M.%S")
    backup = path.parent / "backups" / f"{path.stem}_{now}{path.suffix}"
    backup.parent.mkdir(exist_ok=True)
    shutil.copy2(path, backup)
    return backup
