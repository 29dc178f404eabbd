"""The files in exercises/: complete, and in step with the stages and with their checks."""

import ast
import re

import pytest

from learn.exercises import FOLDER, check_file, read_lesson, stages_with_exercises
from learn.predict import right_answer
from learn.source import blank, find
from stages import ROOT, STAGES
from table_rows import read_result

LESSONS = {stage: read_lesson(stage) for stage in stages_with_exercises()}
EXERCISES = [(s, e) for s, lesson in LESSONS.items() for e in lesson.exercises]
PREDICTIONS = [(s, p) for s, lesson in LESSONS.items() for p in lesson.predictions]


def test_every_file_belongs_to_a_stage():
    assert {path.stem for path in FOLDER.glob("*.toml")} <= set(STAGES)
    assert {path.stem for path in FOLDER.glob("check_*.py")} == {f"check_{s}" for s in LESSONS}


@pytest.mark.parametrize("stage", LESSONS)
def test_a_stage_has_a_check_for_each_exercise_and_no_other(stage):
    lesson = LESSONS[stage]
    assert 5 <= len(lesson.exercises) <= 9 and len(set(lesson.names)) == len(lesson.names)
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
    assert "?" in exercise.hints[0] and "esson" in exercise.hints[1]
    assert exercise.task.strip() and exercise.explanation.strip()
    assert "$" not in "".join([exercise.task, *exercise.hints, exercise.explanation])  # no LaTeX
    source = (ROOT / stage / exercise.file).read_text(encoding="utf-8")
    blanked = blank(source, exercise, LESSONS[stage].number)
    assert blanked != source and find(ast.parse(blanked), exercise.function)


@pytest.mark.parametrize(("stage", "exercise"), EXERCISES)
def test_the_place_in_the_lesson_is_there(stage, exercise):
    """What hint 2 quotes is a heading, the bold beginning of a paragraph or the first cell of a row.

    The lesson is the last one that was named before the quote.
    """
    folders = {f"esson {stage[:2]}": ROOT / stage for stage in STAGES}
    lesson = ROOT / stage / "README.md"
    for part in re.findall(r'esson \d\d|"[^"]+"', exercise.hints[1]):
        if part in folders:
            lesson = folders[part] / "README.md"
            continue
        text = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", lesson.read_text(encoding="utf-8"))  # links
        quote = re.escape(part.strip('"'))
        assert re.search(rf"^(#+ {quote}$|\*\*{quote}|\| {quote} \|)", text, re.M), (lesson, part)


@pytest.mark.parametrize(("stage", "prediction"), PREDICTIONS)
def test_a_prediction_has_an_answer(stage, prediction):
    result = read_result(ROOT / "results" / stage / "result.json")
    assert right_answer(prediction, result) is not None
    assert prediction.kind in ("number", "choice") and prediction.why.strip()
    assert bool(prediction.choices) == (prediction.kind == "choice")
    if prediction.kind == "choice":
        assert prediction.answer in prediction.choices and len(prediction.choices) > 1


def test_every_stage_that_has_exercises_has_predictions():
    assert {stage for stage, _ in PREDICTIONS} == set(LESSONS)
