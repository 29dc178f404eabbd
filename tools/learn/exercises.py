"""What a stage asks of the learner: exercises/STAGE.toml, read into objects.

Everything that the tools know about the exercises of a stage is in that file and in
exercises/check_STAGE.py.

A set is a group of exercises that belongs to no stage, such as arrays. It has exercises/arrays.toml
and exercises/check_arrays.py in the same form. Its reference code lies in exercises/arrays/, as
complete functions in files that import each other by their short names. `make start arrays` makes
the blank copies in my/arrays/ from it. A set trains no model, so its .toml begins with two keys:

    after = "02_bigram_counts"        the stage after which it comes in lists
    next = "Read next: ..."           what to do when all its exercises pass
"""

from argparse import ArgumentTypeError
from dataclasses import dataclass, field
from pathlib import Path

from stages import ROOT, STAGES

from command_line import Parser

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

FOLDER = ROOT / "exercises"
MY = ROOT / "my"


class Problem(Exception):
    """A command cannot do what it was asked. The message says why and how to fix it."""


@dataclass(frozen=True)
class Exercise:
    """A function that the learner writes.

    hints: three, in this order: a question, the place in the lesson, the formula. explanation:
    what to have learned, shown after a pass. inside: how a statement begins, such as "for step in";
    then only the block below that statement is the exercise, not the whole body of the function.
    seconds: the time limit of the check.
    """

    name: str
    file: str
    function: str  # softmax, or Value.__mul__ for a method
    task: str
    hints: tuple
    explanation: str
    inside: str = ""
    seconds: float = 10.0


@dataclass(frozen=True)
class Prediction:
    """A question to answer before the run.

    answer: a number, one of the choices, or a path into the stage's result.json, such as
    "loss.val" or "curve.0.2". A number within the tolerance of the answer is right.
    """

    question: str
    kind: str  # "number" or "choice"
    answer: object
    why: str
    choices: tuple = ()
    tolerance: float = 0.0


@dataclass(frozen=True)
class Lesson:
    """The exercises and the predictions of one stage, or of a set.

    stage: the name of its folder in my/, such as 03_bigram_learned or arrays. train: flags for the
    learner's own main.py once all exercises have passed; few steps, if the stage takes longer than
    a few seconds. after: the stage after which a set comes. next: what to do after the last
    exercise, if it is not to go on with the next stage.
    """

    stage: str
    exercises: tuple
    predictions: tuple
    train: tuple = ()
    after: str = ""
    next: str = ""
    names: tuple = field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "names", tuple(e.name for e in self.exercises))

    @property
    def is_set(self):
        return self.stage not in STAGES

    @property
    def source(self):
        """The folder with the reference code."""
        return (FOLDER if self.is_set else ROOT) / self.stage

    @property
    def word(self):
        """3 or arrays, as a learner types it."""
        return self.stage if self.is_set else str(int(self.stage[:2]))

    @property
    def title(self):
        """What to call it in a sentence."""
        return f"the set {self.word}" if self.is_set else f"stage {self.word}"

    def exercise(self, name):
        """The exercise with this name; softmax_grad is softmax-grad."""
        for exercise in self.exercises:
            if exercise.name == name.replace("_", "-"):
                return exercise
        raise Problem(f"{self.title} has no exercise {name!r}: {', '.join(self.names)}")

    def first_open(self, passed):
        """The first exercise that is not among those passed, or None."""
        return next((e for e in self.exercises if e.name not in passed), None)


def read_lesson(stage):
    """The Lesson of a stage or a set, given by the name of its folder."""
    path = FOLDER / f"{stage}.toml"
    if not path.exists():
        have = ", ".join(str(int(s[:2])) for s in stages_with_exercises())
        raise Problem(f"stage {int(stage[:2])} has no exercises yet; these have: {have or 'none'}")
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        exercises = tuple(Exercise(**table) for table in tables["exercise"])
        predictions = tuple(Prediction(**table) for table in tables.get("prediction", []))
    except (tomllib.TOMLDecodeError, TypeError, KeyError) as error:
        raise Problem(f"exercises/{path.name}: {error}") from error
    train, after, following = (tables.get(key, "") for key in ("train", "after", "next"))
    return Lesson(stage, exercises, predictions, tuple(train), after, following)


def check_file(stage):
    """The file with a check function for each exercise."""
    return FOLDER / f"check_{stage}.py"


def stages_with_exercises():
    return [stage for stage in STAGES if (FOLDER / f"{stage}.toml").exists()]


def set_names():
    return sorted({path.stem for path in FOLDER.glob("*.toml")} - set(STAGES))


def all_lessons():
    """The Lesson of every stage that has exercises, and of every set behind its stage."""
    lessons = map(read_lesson, [*stages_with_exercises(), *set_names()])
    return sorted(lessons, key=lambda lesson: (lesson.after or lesson.stage, lesson.is_set))


def find_stage(word):
    """The folder name of the stage that a learner means: 3, 03 or 03_bigram_learned."""
    word = word.rstrip("/\\")
    for stage in STAGES:
        if word in (stage, stage[:2], str(int(stage[:2]))):
            return stage
    problem = f"there is no stage {word!r}; the stages are {', '.join(STAGES)}"
    sets = set_names()
    raise Problem(f"{problem}; the sets are {', '.join(sets)}" if sets else problem)


def find_lesson(word):
    """The Lesson of the stage or the set that a learner means: 3, 03_bigram_learned or arrays."""
    name = word.rstrip("/\\")
    return read_lesson(name if name in set_names() else find_stage(word))


def parser(command, description, stage=True):
    """The flags that the commands share. stage: whether a stage must be given; None: it may be."""
    words = Parser(prog=f"make {command}", description=description)
    if stage or stage is None:
        count = None if stage else "?"
        words.add_argument("stage", nargs=count, help="its number, such as 3, or the name of a set")
    kind = Path if command == "start" else existing_folder  # start makes it
    words.add_argument("--my", type=kind, default=MY, help="the folder of your code (default: my)")
    return words


def existing_folder(text):
    """The path of a folder that the user names, or an error of argparse: it must not be made."""
    if not Path(text).is_dir():
        raise ArgumentTypeError(f"there is no folder {text}")
    return Path(text)


def started(lesson, my):
    """The learner's folder of a stage or a set. Problem if `make start` did not make it yet."""
    folder = my.resolve() / lesson.stage
    if not folder.is_dir():
        raise Problem(f"{short(folder)} does not exist yet; to begin: make start {lesson.word}")
    return folder


def short(path):
    """A path as the learner sees it, relative to the project if it lies in there."""
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)
