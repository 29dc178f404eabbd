"""make hint, solution and predict."""

import json

import pytest

from learn_project import HELPER, begun, project, solved

__all__ = ["begun", "project", "solved"]  # fixtures


# --- hint ---


def test_hints_come_one_by_one_and_stay_readable(begun):
    first = begun.learn("hint", "1").stdout
    assert "Exercise 1 of 4: square" in first and "a question about square" in first
    assert "where square is explained" not in first
    second = begun.learn("hint", "1").stdout
    assert "a question about square" in second and "where square is explained" in second
    assert "x * x" not in second and "For the next hint: make hint 1" in second
    for _ in range(2):  # the third, and again
        third = begun.learn("hint", "1").stdout
        assert "a question about square" in third and "x * x" in third
        assert "That was the last hint. To see a solution: make solution 1" in third
    begun.write("my/01_first/helper.py", HELPER)
    begun.check()
    fourth = begun.learn("hint", "1").stdout
    assert "Exercise 2 of 4: double" in fourth and "What is x + x?" in fourth
    assert "Lesson 1" not in fourth


def test_all_hints_are_readable_after_a_pass(begun):
    begun.write("my/01_first/helper.py", HELPER)
    begun.check()
    shown = begun.learn("hint", "1", "--exercise", "square").stdout
    assert "a question about square" in shown and "x * x" in shown
    begun.solve()
    begun.check()
    shown = begun.learn("hint", "1").stdout
    assert "x * x" in shown and "2x" in shown and "all-squares" in shown


def test_hints_after_the_progress_was_lost(solved):
    solved.change("2 * x", "3 * x")
    assert "Exercise 2 of 4: double" in solved.learn("hint", "1").stdout


# --- solution ---


def test_solution_asks_before_a_pass(begun):
    begun.write("my/01_first/helper.py", "def square(x):\n    return x + x\n")
    done = begun.learn("solution", "1", answers="n\n")
    assert done.returncode == 1 and "return x * x" not in done.stdout
    assert "square has not passed yet" in done.stdout and "make hint 1" in done.stdout
    done = begun.learn("solution", "1", answers="y\n")
    assert done.returncode == 0 and "return x * x" in done.stdout and "return x + x" in done.stdout
    assert "return x * x" not in begun.learn("solution", "1").stdout  # no answer
    assert "return x * x" in begun.learn("solution", "1", "--yes").stdout


def test_solution_of_a_pass_is_beside_your_own(begun):
    begun.write("my/01_first/helper.py", "def square(x):\n    return x ** 2\n")
    begun.check()
    done = begun.learn("solution", "1")  # the next exercise is still blank
    assert done.returncode == 0 and "return x * x" in done.stdout and "return x ** 2" in done.stdout
    wide = begun.learn("solution", "1", width=140).stdout
    narrow = begun.learn("solution", "1", width=80).stdout
    assert any("reference" in line and "yours" in line for line in wide.splitlines())
    assert not any("reference" in line and "yours" in line for line in narrow.splitlines())


def test_solution_of_a_method_and_of_what_is_gone(solved):
    solved.check()
    shown = solved.learn("solution", "1", "--exercise", "total").stdout
    assert shown.count("def total(self):") == 2
    solved.write("my/01_first/main.py", "x = 1\n")
    shown = solved.learn("solution", "1", "--exercise", "total").stdout
    assert "main.py has no function Box.total" in shown
    solved.write("my/01_first/main.py", "def (:\n")
    assert "cannot be read" in solved.learn("solution", "1", "--exercise", "total").stdout


def test_solution_of_a_finished_stage_shows_every_exercise(solved):
    solved.check()
    shown = solved.learn("solution", "1").stdout
    assert shown.count("the reference") == 4
    assert shown.index("def square") < shown.index("def double") < shown.index("def total")


# --- predict ---


def answers_of(project):
    return json.loads(project.read("my/progress.json"))["01_first"]["predictions"]


def result(project, folder="out/01_first", first=3.25, **more):
    project.write(f"{folder}/result.json", json.dumps({"curve": [[0, None, first]], **more}))


def test_predictions_are_scored_after_the_run(project):
    done = project.learn("predict", "1", answers="3.3\n1\n42\n")
    assert done.returncode == 0, done.stderr
    assert "What is the first loss?" in done.stdout and "1  better" in done.stdout
    assert "Now run it: make stage 1. Then see how right you were: make predict 1" in done.stdout
    assert "Because" not in done.stdout  # nothing is given away before
    assert answers_of(project) == [3.3, "better", 42]
    assert "Now run it" in project.learn("predict", "1").stdout
    result(project)
    shown = project.learn("predict", "1").stdout
    assert "you said 3.3; it is 3.25" in shown and "you said better; it is worse" in shown
    assert "1 of 3 right" in shown and "Because." in shown
    assert "Scored against your own run in out/01_first." in shown


def test_answers_are_saved_one_by_one(project):
    done = project.learn("predict", "1", answers="1/4\n")
    assert done.returncode == 1 and "To answer the rest: make predict 1" in done.stdout
    assert answers_of(project) == [0.25]
    done = project.learn("predict", "1", answers="worse\n42\n")
    assert "What is the first loss?" not in done.stdout and done.returncode == 0
    assert answers_of(project) == [0.25, "worse", 42]


def test_an_answer_that_makes_no_sense_is_asked_again(project):
    done = project.learn("predict", "1", answers="a lot\n1/0\n3.25\n7\n0\nworse\n42\n")
    assert done.stdout.count("Give a number such as 2.5 or 1/27.") == 2
    assert done.stdout.count("Give a number, 1 to 2.") == 2
    assert answers_of(project) == [3.25, "worse", 42]


def test_predicting_again(project):
    project.learn("predict", "1", answers="1\n1\n1\n")
    project.learn("predict", "1", "--again", answers="3.25\n2\n42\n")
    assert answers_of(project) == [3.25, "worse", 42]
    result(project, "out/my/01_first")  # a run of the learner's own code will do
    shown = project.learn("predict", "1").stdout
    assert "3 of 3 right" in shown and "your own run in out/my/01_first." in shown


def test_a_result_without_the_number(project):
    project.learn("predict", "1", answers="3.25\n2\n42\n")
    result(project, first=None)
    shown = project.learn("predict", "1").stdout
    assert "not in the result of that run" in shown and "2 of 2 right" in shown


LIKE = {"config": {"steps": 9, "seed": 1}, "dataset": {"name": "names", "sha256": "ab"}}


@pytest.mark.parametrize(("change", "words"), [
    ({"config": {"steps": 3, "seed": 1}}, "differs: steps 3, not 9."),
    ({"config": {"steps": 9}}, "differs: seed None, not 1."),
    ({"config": {**LIKE["config"], "wide": True}}, "differs: wide True, not None."),
    ({"dataset": {"name": "mine", "sha256": "cd"}}, "differs: it read other data, mine."),
    ({"interrupted": True}, "differs: it was stopped early."),
])  # fmt: skip
def test_a_run_of_another_kind_is_not_what_the_answers_are_compared_with(project, change, words):
    project.learn("predict", "1", answers="3.25\n2\n42\n")
    result(project, "results/01_first", **LIKE)
    assert "Now run it" in project.learn("predict", "1").stdout  # not even with a reference
    result(project, first=9.5, **{**LIKE, **change})
    shown = project.learn("predict", "1", width=200).stdout
    assert "it is 3.25" in shown and "3 of 3 right" in shown
    assert "Scored against the reference run in results/01_first, " in shown
    assert f"because your own run in out/01_first {words}" in shown.splitlines()[0]
    result(project, first=9.5, **LIKE)
    shown = project.learn("predict", "1", width=200).stdout
    assert "it is 9.5" in shown and "2 of 3 right" in shown and "reference" not in shown
    assert "Scored against your own run in out/01_first." in shown


def test_the_first_run_of_the_right_kind_counts(project):
    project.learn("predict", "1", answers="3.25\n2\n42\n")
    result(project, "results/01_first", **LIKE)
    result(project, first=9.5, interrupted=True, **LIKE)
    result(project, "out/my/01_first", first=7.5, **LIKE)
    shown = project.learn("predict", "1").stdout
    assert "it is 7.5" in shown and "your own run in out/my/01_first." in shown


def test_answers_that_were_edited_are_asked_again(project):
    stage = {"predictions": [3.25, "no such choice", {}]}
    project.write("my/progress.json", json.dumps({"01_first": stage}))
    done = project.learn("predict", "1", answers="2\n42\n")
    assert done.returncode == 0 and answers_of(project) == [3.25, "worse", 42]


def test_check_keeps_the_predictions(project):
    project.learn("predict", "1", answers="1\n1\n1\n")
    project.solve()
    project.check()
    assert answers_of(project) == [1, "better", 1]
