"""The files in exercises/: complete, and in step with the code and with their checks."""

import ast
import re

import pytest
import run

from learn.exercises import (
    FOLDER,
    all_lessons,
    check_file,
    find_lesson,
    set_names,
    stages_with_exercises,
)
from learn.predict import right_answer
from learn.source import blank, find
from stages import ROOT, STAGES
from table_rows import read_result

LESSONS = {lesson.stage: lesson for lesson in all_lessons()}
SETS = [lesson for lesson in LESSONS.values() if lesson.is_set]
EXERCISES = [(s, e) for s, lesson in LESSONS.items() for e in lesson.exercises]
PREDICTIONS = [(s, p) for s, lesson in LESSONS.items() for p in lesson.predictions]


def test_every_file_belongs_to_a_stage_or_a_set():
    assert {path.stem for path in FOLDER.glob("*.toml")} == set(LESSONS)
    assert {path.stem for path in FOLDER.glob("check_*.py")} == {f"check_{s}" for s in LESSONS}
    folders = {path.name for path in FOLDER.iterdir() if path.is_dir()} - {"__pycache__"}
    assert folders == {"museum", "arrays", "extras"} == {"museum", *set_names()}


def test_the_sets_come_behind_their_stages():
    names = list(LESSONS)
    assert [name for name in names if name in STAGES] == stages_with_exercises()
    assert names.index("arrays") == names.index("02_bigram_counts") + 1
    assert names[-1] == "extras"


@pytest.mark.parametrize("lesson", SETS, ids=lambda lesson: lesson.stage)
def test_a_set_says_what_comes_before_and_after_it(lesson):
    assert lesson.after in STAGES and not lesson.train and not lesson.predictions
    assert find_lesson(lesson.word) == lesson and lesson.next


@pytest.mark.parametrize("lesson", LESSONS.values(), ids=lambda lesson: lesson.stage)
def test_what_to_do_next_can_be_done(lesson):
    commands = re.findall(r"make ([\w-]+)(?: (\w+))?", lesson.next)
    assert bool(commands) == bool(lesson.next) and "\n" not in lesson.next
    for target, word in commands:
        assert target in run.TARGETS and (target != "start" or find_lesson(word))
    pages = re.findall(r"[\w/]+\.(?:md|py)\b", lesson.next)
    assert all((ROOT / page).is_file() for page in pages)


@pytest.mark.parametrize("stage", LESSONS)
def test_there_is_a_check_for_each_exercise_and_no_other(stage):
    lesson = LESSONS[stage]
    most = 10 if lesson.is_set else 9
    assert 5 <= len(lesson.exercises) <= most and len(set(lesson.names)) == len(lesson.names)
    tree = ast.parse(check_file(stage).read_text(encoding="utf-8"))
    checks = {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and [argument.arg for argument in node.args.args] == ["learner", "check"]
    }
    assert checks == {name.replace("-", "_") for name in lesson.names}


@pytest.mark.parametrize(("stage", "exercise"), EXERCISES)
def test_an_exercise_is_complete(stage, exercise):
    assert exercise.name == exercise.name.lower() and "_" not in exercise.name
    assert len(exercise.hints) == 3 and all(hint.strip() for hint in exercise.hints)
    assert "?" in exercise.hints[0]
    pages = re.findall(r"(?:docs|extras)/\w+\.\w+", exercise.hints[1])
    assert "esson" in exercise.hints[1] or LESSONS[stage].is_set and pages
    assert all((ROOT / page).is_file() for page in pages)
    assert exercise.task.strip() and exercise.explanation.strip()
    assert "$" not in "".join([exercise.task, *exercise.hints, exercise.explanation])  # no LaTeX
    source = (LESSONS[stage].source / exercise.file).read_text(encoding="utf-8")
    blanked = blank(source, exercise, LESSONS[stage].word)
    assert blanked != source and find(ast.parse(blanked), exercise.function)


@pytest.mark.parametrize(("stage", "exercise"), EXERCISES)
def test_the_place_in_the_lesson_is_there(stage, exercise):
    """Hint 2 quotes a heading, the bold beginning of a paragraph, or the first cell of a row.

    The quote is from the lesson or the page that was named last before it.
    """
    pages = {f"esson {stage[:2]}": ROOT / stage / "README.md" for stage in STAGES}
    page = ROOT / stage / "README.md"
    for part in re.findall(r'esson \d\d|docs/\w+\.md|"[^"]+"', exercise.hints[1]):
        if not part.startswith('"'):
            page = pages.get(part, ROOT / part)
            continue
        text = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", page.read_text(encoding="utf-8"))  # links
        quote = re.escape(part.strip('"'))
        assert re.search(rf"^(#+ {quote}$|\*\*{quote}|\| {quote} \|)", text, re.M), (page, part)


@pytest.mark.parametrize(("stage", "prediction"), PREDICTIONS)
def test_a_prediction_has_an_answer(stage, prediction):
    result = read_result(ROOT / "results" / stage / "result.json")
    assert right_answer(prediction, result) is not None
    assert prediction.kind in ("number", "choice") and prediction.why.strip()
    assert bool(prediction.choices) == (prediction.kind == "choice")
    if prediction.kind == "choice":
        assert prediction.answer in prediction.choices and len(prediction.choices) > 1


def test_every_stage_that_has_exercises_has_predictions():
    assert {stage for stage, _ in PREDICTIONS} == set(stages_with_exercises())
