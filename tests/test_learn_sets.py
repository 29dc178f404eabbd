"""Sets: exercises that belong to no stage, with a made-up set beside the made-up stages."""

import csv
import io
import json

import pytest

from learn_project import Project

FUNCTIONS = '''"""Two small functions."""

import words


def twice(x):
    """Twice x."""
    return 2 * x


def shout(text):
    return words.upper(text) * twice(1)
'''
WORDS = "def upper(text):\n    return text.upper()\n"
EXERCISES = """after = "01_first"
next = "Read next: 02_second/README.md"

[[exercise]]
name = "twice"
file = "functions.py"
function = "twice"
task = "Return twice `x`."
hints = ["What is x + x?", "Page 1", "2x"]
explanation = "Doubling is adding."

[[exercise]]
name = "shout"
file = "functions.py"
function = "shout"
task = "Say it twice, in capitals."
hints = ["a", "b", "c"]
explanation = "Loud."
"""
CHECKS = """
def twice(learner, check):
    check.equal(learner.functions.twice, (3,), 6, mistakes={"This is the square.": 9})


def shout(learner, check):
    check.equal(learner.functions.shout, ("ab",), "ABAB")
"""
RIGHT = FUNCTIONS.replace("2 * x", "x + x")


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path)
    project.write("exercises/practice.toml", EXERCISES)
    project.write("exercises/check_practice.py", CHECKS)
    project.write("exercises/practice/functions.py", FUNCTIONS)
    project.write("exercises/practice/words.py", WORDS)
    return project


@pytest.fixture
def begun(project):
    assert project.learn("start", "practice").returncode == 0
    return project


@pytest.fixture
def solved(begun):
    begun.write("my/practice/functions.py", RIGHT)
    return begun


def passed(project):
    return json.loads(project.read("my/progress.json"))["practice"]["passed"]


# --- start, hint, solution ---


def test_start_makes_blank_copies(project):
    done = project.learn("start", "practice")
    assert done.returncode == 0, done.stderr
    assert "my/practice is yours now. Write in functions.py." in done.stdout
    assert "make check practice, or make watch practice" in done.stdout
    text = project.read("my/practice/functions.py")
    assert text.count('raise NotImplementedError("exercise twice: make hint practice")') == 1
    assert '"""Twice x."""' in text and "2 * x" not in text
    assert project.read("my/practice/words.py") == WORDS  # nothing to write there
    again = project.learn("start", "practice").stdout
    assert "nothing in it was overwritten" in again


def test_reset_and_solution(solved):
    assert "x + x" in solved.learn("solution", "practice", "--exercise", "twice", "--yes").stdout
    shown = solved.learn("solution", "practice", "--exercise", "twice").stdout
    assert "return 2 * x" in shown and "return x + x" in shown
    done = solved.learn("start", "practice", "--exercise", "twice", "--yes")
    assert done.returncode == 0 and "make hint practice" in solved.read("my/practice/functions.py")


def test_hints(begun):
    shown = begun.learn("hint", "practice").stdout
    assert "Exercise 1 of 2: twice" in shown and "What is x + x?" in shown
    assert "For the next hint: make hint practice" in shown


def test_predict_has_nothing_to_ask(project):
    done = project.learn("predict", "practice")
    assert done.returncode == 0 and "the set practice has no questions" in done.stdout


# --- check ---


def test_check_before_and_after(begun):
    shown = begun.learn("check", "practice")
    assert shown.returncode == 1 and "Exercise 1 of 2: twice" in shown.stdout
    assert "0 of 2 passed. Stuck? make hint practice" in shown.stdout
    begun.write("my/practice/functions.py", FUNCTIONS.replace("2 * x", "x * x"))
    assert "This is the square." in begun.learn("check", "practice").stdout


def test_after_the_last_exercise_nothing_is_trained(solved):
    done = solved.learn("check", "practice")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "checking my/practice/functions.py" in done.stdout
    assert done.stdout.endswith(
        "All 2 exercises of the set practice pass.\nRead next: 02_second/README.md\n"
    )
    assert passed(solved) == ["twice", "shout"] and not (solved.root / "out").exists()


def test_watch_says_what_to_read_next(solved):
    done = solved.learn("watch", "practice")
    assert done.returncode == 0
    assert done.stdout.endswith("2 of 2 passed. Read next: 02_second/README.md\n")


CHEATS = {
    "the reference as a module": (
        "import importlib.util\n"
        "spec = importlib.util.spec_from_file_location('f', '{root}/exercises/practice/words.py')\n"
        "found = importlib.util.module_from_spec(spec)\nspec.loader.exec_module(found)\n" + RIGHT,
        "This is not your code: it comes from exercises/practice/.",
    ),
    "the text of the reference": (
        "exec(open('{root}/exercises/practice/functions.py').read())\n",
        "This is not your code",
    ),
    "a program in extras": (
        "exec(open('{root}/extras/doubles.py').read())\n",
        "This is not your code: it comes from extras/.",
    ),
    "another folder on the path": (
        "import sys\nsys.path.insert(0, '{root}/elsewhere')\nfrom doubles import twice\n",
        "This is not your code: twice comes from",
    ),
}


@pytest.mark.parametrize("name", CHEATS)
def test_what_is_not_in_the_learners_folder_does_not_count(begun, name):
    text, words = CHEATS[name]
    double = "def twice(x):\n    return 2 * x\n\n\ndef shout(text):\n    return 'ABAB'\n"
    begun.write("extras/doubles.py", double)
    begun.write("elsewhere/doubles.py", double)
    begun.write("my/practice/functions.py", text.replace("{root}", begun.root.as_posix()))
    done = begun.learn("check", "practice")
    assert done.returncode == 1 and words in done.stdout, done.stdout
    assert passed(begun) == []


def test_a_helper_in_another_place_does_not_count(solved):
    """words.py is missing in the learner's folder, and the one of the reference is not found."""
    (solved.my / "practice" / "words.py").unlink()
    assert "No module named 'words'" in solved.learn("check", "practice").stdout


# --- the lists ---


def test_the_overview_has_the_set_behind_its_stage(solved):
    solved.learn("check", "practice")
    lines = solved.learn("check").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["01_first", "practice"]
    assert "to begin: make start 1" in lines[0]
    assert "2 of 2" in lines[1] and "done" in lines[1]
    solved.write("my/practice/functions.py", RIGHT + "\n")
    assert "make check practice" in solved.learn("check").stdout.splitlines()[1]


def test_a_class_has_a_column_for_the_set(project):
    project.write("class/ada/my/practice/functions.py", RIGHT)
    project.write("class/ada/my/practice/words.py", WORDS)
    project.write("class/bob/my/01_first/main.py", "")
    done = project.learn("class", project.root / "class", "--csv")
    rows = list(csv.reader(io.StringIO(done.stdout)))
    assert rows == [
        ["learner", "01_first", "practice"], ["ada", "", "2/2"], ["bob", "0/4", ""],
    ]  # fmt: skip
    done = project.learn("class", project.root / "class", "--csv", "--stage", "practice")
    assert done.stdout == "learner,practice\nada,2/2\n"


@pytest.mark.parametrize("command", ["start", "check", "hint", "watch", "solution", "predict"])
def test_a_name_that_is_no_set(project, command):
    done = project.learn(command, "practise")
    assert done.returncode == 2 and done.stderr == (
        f"{command}: there is no stage 'practise'; the stages are 01_first, 02_second; "
        "the sets are practice\n"
    )


def test_a_set_that_was_not_started(project):
    done = project.learn("check", "practice")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "my/practice does not exist yet; to begin: make start practice" in done.stderr
    done = project.learn("start", "practice", "--exercise", "nothing")
    assert "the set practice has no exercise 'nothing': twice, shout" in done.stderr
