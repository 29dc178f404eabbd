"""make check: right code passes, wrong code fails with the right words, and nothing cheats it."""

import json
import re
import shutil
import sys
import time

import pytest

from clocks import seconds_of_children
from learn import progress, run_checks
from learn.exercises import read_lesson
from learn_project import HELPER, MAIN, begun, project, solved

__all__ = ["begun", "project", "solved"]  # fixtures

DOUBLE = 'def double(x):\n    """Twice x."""\n    return 2 * x\n'


def with_double(text, before=""):
    """main.py with another double()."""
    assert DOUBLE in MAIN
    return before + MAIN.replace(DOUBLE, text)


def passed(project):
    content = json.loads(project.read("my/progress.json"))
    return content["01_first"]["passed"]


# --- the order of things ---


def test_a_blank_stage_shows_the_first_task(begun):
    shown = begun.check()
    assert "checking my/01_first/helper.py, my/01_first/main.py\n" in shown
    assert "next    my/01_first/helper.py:1" in shown and "Multiply." in shown
    assert "0 of 4 passed" in shown and passed(begun) == []


def test_a_right_stage_passes(solved):
    done = solved.learn("check", "1", "--no-train")
    assert done.returncode == 0
    names = ["square", "double", "all-squares", "total"]
    assert re.findall(r"passed  (\S+)", done.stdout) == names == passed(solved)
    assert "Squares are never negative." in done.stdout  # the explanation of a new pass
    assert "All 4 exercises of stage 1 pass." in done.stdout
    assert "Read next: 02_second/README.md" in done.stdout
    assert "Squares are never negative." not in solved.check()  # it is not new any more


def test_it_stops_at_the_first_failure(solved):
    solved.write("my/01_first/main.py", with_double("def double(x):\n    return x + 1\n"))
    done = solved.learn("check", "1")
    assert done.returncode == 1
    assert "passed  square" in done.stdout and "failed  double" in done.stdout
    assert "all-squares" not in done.stdout and "1 of 4 passed" in done.stdout


def test_a_failure_costs_four_lines_and_its_words(solved):
    solved.write("my/01_first/main.py", with_double("def double(x):\n    return x * x\n"))
    lines = [line.strip() for line in solved.check().split("failed  double\n")[1].splitlines()]
    assert lines[:5] == [
        "call      double(3)",
        "came      9",
        "expected  6   (by hand)",
        "line      my/01_first/main.py:10",
        "This is the square.",
    ]


def test_what_passed_before_and_fails_now(solved):
    solved.check()
    solved.write("my/01_first/main.py", with_double("def double(x):\n    return x\n"))
    assert "It passed before" in solved.check()
    assert passed(solved) == ["square"]


def test_an_explanation_is_shown_once(solved):
    shown = solved.check()
    explanations = ["Squares are", "Doubling is", "A list in", "Sums start"]
    assert all(words in shown for words in explanations)
    solved.write("my/01_first/helper.py", "def square(x):\n    return x\n")
    assert "0 of 4 passed" in solved.check()
    solved.solve()
    shown = solved.check()
    assert "All 4 exercises" in shown and not any(words in shown for words in explanations)


def test_an_explanation_is_shown_after_a_check_that_shows_none(solved):
    solved.learn("hint", "1")  # without progress.json, it checks first
    assert len(passed(solved)) == 4
    shown = solved.check()
    assert "Squares are" in shown and "Sums start" in shown


# --- what is wrong, in words ---

WRONG = [
    ("return 3 *", "syntax", "Syntax error: invalid syntax", "main.py:11"),
    ("return x + 1", "came      4\n", "", "main.py:10"),
    ("print(2 * x)", "came      None\n", "Did you print instead of return", "main.py:10"),
    ("return str(2 * x)", "came      '6'", "A text came and a number was expected.", "main.py:10"),
    ("return [2 * x]", "came      [6]", "A list came and a number was expected.", "main.py:10"),
    ("return 2 * y", "NameError: name 'y' is not defined", "", "main.py:11"),
    ("return 'a' + x", "TypeError", "Text was added.", "main.py:11"),
    ("raise SystemExit(0)", "SystemExit", "ended the program", "main.py:11"),
    ("return squares([x])[0] - 3", "double(0.5)", "", "main.py:10"),
    ("while True: pass", "call      double(3)", "longer than 1 seconds", "main.py:11"),
    ("return double(x)", "RecursionError", "", "main.py:11"),
    ("return float('nan')", "came      nan", "nan means", "main.py:10"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "came", "words", "line"), WRONG)
def test_a_wrong_double(solved, body, came, words, line):
    solved.write("my/01_first/main.py", with_double(f"def double(x):\n    {body}\n"))
    shown = solved.check()
    assert "Traceback" not in shown
    assert (came in shown or came == "syntax") and words in shown
    assert f"line      my/01_first/{line}\n" in shown
    if came == "syntax":
        assert "code      return 3 *\n" in shown


def test_a_loop_that_catches_everything(solved):
    body = "def double(x):\n    while True:\n        try:\n            x += 1\n"
    body += "        except BaseException:\n            pass\n"
    solved.write("my/01_first/main.py", with_double(body))
    words = "longer than 1 seconds" if sys.version_info >= (3, 11) else "took too long"
    assert words in solved.check()


def test_a_call_that_lets_no_other_thread_run(solved):
    """Then the child cannot end itself, and the parent does."""
    body = "import re\n\n\ndef double(x):\n    re.match('(a+)+b', 'a' * 50)\n"
    solved.write("my/01_first/main.py", with_double(body))
    solved.change("GRACE = 5.0", "GRACE = 0.5", "tools/learn/run_checks.py")
    began = time.monotonic()
    shown = solved.check()
    assert "It took too long and was ended. Is there an endless loop?" in shown
    assert "line      my/01_first/main.py:" in shown
    assert time.monotonic() - began < run_checks.START


def test_an_endless_loop_outside_of_functions(solved):
    solved.write("my/01_first/main.py", MAIN + "\nwhile True:\n    pass\n")
    shown = solved.check()
    assert "passed  square" in shown and "longer than 1 seconds" in shown


def test_what_the_learner_prints_is_shown_with_a_failure(solved):
    body = "def double(x):\n    print('x is', x)\n    return x\n"
    solved.write("my/01_first/main.py", with_double(body))
    assert "Your code printed:\n      x is 3\n" in solved.check()
    solved.write("my/01_first/main.py", with_double(body.replace("return x", "return 2 * x")))
    assert "x is" not in solved.check()


def test_escapes_in_what_the_learner_prints_and_returns_are_shown(solved):
    lines = "print('\\x1b[2J[red]\\r\\u202e')", "raise ValueError('\\x1b]0;a\\x9b')"
    body = "".join(f"    {line}\n" for line in lines)
    solved.write("my/01_first/main.py", with_double(f"def double(x):\n{body}"))
    printed = solved.check("--verbose")
    assert r"\x1b[2J[red]\r\u202e" in printed and r"\x1b]0;a\x9b" in printed
    assert not set("\x1b\r\u202e\x9b") & set(printed)


def test_escapes_in_the_learners_file_are_shown(solved):
    body = "def double(x):\n    return 2 * x  # \x1b[2J\u202e\n"
    solved.write("my/01_first/main.py", with_double(body))
    printed = solved.learn("solution", "1", "--exercise", "double", "--yes").stdout
    assert r"# \x1b[2J\u202e" in printed and not set("\x1b\u202e") & set(printed)


def test_a_flood_of_prints_is_cut(solved):
    body = "def double(x):\n    while True:\n        print('again and again')\n"
    solved.write("my/01_first/main.py", with_double(body))
    shown = solved.check()
    assert "longer than 1 seconds" in shown and 1 < shown.count("again and again") < 10


def test_a_traceback_only_with_v(solved):
    solved.write("my/01_first/main.py", with_double("def double(x):\n    return 1 / 0\n"))
    assert "Traceback" not in solved.check()
    shown = solved.check("-v")
    assert 'main.py", line 11, in double' in shown and "checking.py" not in shown


def test_an_error_outside_of_functions(solved):
    solved.write("my/01_first/main.py", "import nonsense\n" + MAIN)
    shown = solved.check()
    assert "No module named 'nonsense'" in shown and "my/01_first/main.py:1\n" in shown


@pytest.mark.parametrize("content", [b"x = '\xff'\n", b"x = 1\0\n", b"\xff\xfed\x00"])
def test_a_file_that_is_not_text(solved, content):
    (solved.my / "01_first" / "main.py").write_bytes(content)
    done = solved.learn("check", "1")
    assert done.returncode == 1 and "Traceback" not in done.stdout + done.stderr
    assert "failed  main.py" in done.stdout


def test_a_file_with_a_byte_order_mark_and_windows_line_ends(solved):
    text = MAIN.replace("\n", "\r\n").encode("utf-8-sig")
    (solved.my / "01_first" / "main.py").write_bytes(text)
    assert "All 4 exercises" in solved.check()


def test_an_empty_file(solved):
    solved.write("my/01_first/main.py", "")
    shown = solved.check()
    assert "main.py has no function double" in shown
    assert "make start 1 EXERCISE=double" in shown


@pytest.mark.parametrize(("text", "words"), [
    ("x = 1\n", "main.py has no class Box, so it has no function Box.{name}."),
    ("class Box:\n    pass\n", "main.py has no function Box.{name}."),
])  # fmt: skip
@pytest.mark.parametrize("name", ["total", "__init__", "__call__"])
def test_a_class_or_a_method_that_is_gone(solved, text, words, name):
    solved.change("Box.total", f"Box.{name}", "exercises/01_first.toml")
    solved.change('inside = "for x in"\n', "", "exercises/01_first.toml")
    functions = MAIN.partition("class Box")[0]
    solved.write("my/01_first/main.py", functions + text)
    shown = " ".join(solved.check().split())
    assert words.format(name=name) in shown and "make start 1 EXERCISE=total" in shown


def test_a_file_that_is_gone(solved):
    (solved.my / "01_first" / "main.py").unlink()
    assert "main.py is missing" in solved.check()


def test_a_stage_that_was_not_started(project):
    done = project.learn("check", "1")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "my/01_first does not exist yet; to begin: make start 1" in done.stderr


def test_a_function_that_calls_one_that_is_not_written(solved):
    squares = "    # A comment that belongs to the body.\n"
    blank = '    raise NotImplementedError("exercise all-squares: make hint 1")\n'
    body = "def double(x):\n    return squares([x])\n"
    solved.write("my/01_first/main.py", with_double(body).replace(squares, blank))
    assert "calls the function of exercise all-squares, which is not written" in solved.check()


def test_numbers_that_look_the_same_get_more_digits(solved):
    solved.write("my/01_first/main.py", with_double("def double(x):\n    return 2.001 * x\n"))
    assert "came      6.003\n" in solved.check()
    solved.write("my/01_first/main.py", with_double("def double(x):\n    return 2 * x + 7e-4\n"))
    assert "came      6.0007\n" in solved.check()


# --- cheats ---

REFERENCE = "sys.path.insert(0, '{root}/01_first')\n"
CHEATS = {
    "import of the reference": (
        "import sys\nsys.path.insert(0, '{root}/01_first')\nimport importlib\n"
        "sys.modules.pop('main', None)\nfrom main import double, squares, Box\n",
        "This is not your code",
    ),
    "import of the reference by its path": (
        "import importlib.util\n"
        "spec = importlib.util.spec_from_file_location('r', '{root}/01_first/main.py')\n"
        "r = importlib.util.module_from_spec(spec)\nspec.loader.exec_module(r)\n"
        "def double(x):\n    return r.double(x)\n",
        "This is not your code: it comes from 01_first/.",
    ),
    "text of the reference": (
        "import os\nexec(open(os.path.join('..', '..', '01_first', 'main.py')).read())\n",
        "This is not your code",
    ),
    "the loader of the tools": (
        "import stages\ndouble = stages.load_stage('01_first').double\n",
        "This is not your code",
    ),
    "a function of a library": ("from math import sqrt as double\n", "This is not your code"),
    "a function of Python": ("double = abs\n", "This is not your code"),
    "not a function": ("double = 6\n", "main.py has no function double"),
    "equal to everything": (
        "class Yes(int):\n    def __eq__(self, other): return True\n"
        "    def __sub__(self, other): return Yes(0)\n    def __hash__(self): return 1\n"
        "def double(x):\n    return Yes(1)\n",
        "a number was expected",
    ),
    "a patched comparison": (
        "import math\nmath.isclose = lambda *args, **more: True\n"
        "import builtins\nbuiltins.abs = lambda x: 0\ndef double(x):\n    return 1\n",
        "came      1",
    ),
    "the end of the process": ("import os\ndef double(x):\n    os._exit(0)\n", "ended Python"),
    "the end of the process on import": ("import os\nos._exit(0)\n", "ended Python itself"),
    "expected values that are read": (
        "import sys\ndef double(x):\n    f = sys._getframe(1)\n    while f:\n"
        "        v = f.f_locals.get('wanted')\n        if v is not None:\n"
        "            object.__setattr__(v, 'parts', (0,))\n        f = f.f_back\n    return 0\n",
        "AttributeError",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_fails(solved, name):
    text, words = CHEATS[name]
    solved.write("my/01_first/main.py", text.replace("{root}", str(solved.root)))
    done = solved.learn("check", "1", "--no-train")
    assert done.returncode == 1 and words in done.stdout, done.stdout
    assert passed(solved) == ["square"]


def test_a_change_of_the_arguments(solved):
    body = "    numbers[:] = [helper.square(x) for x in numbers]\n    return numbers\n"
    solved.change("    return [helper.square(x) for x in numbers]\n", body)
    shown = solved.check()
    assert "argument 1 was changed to [1, 4, 9]" in shown
    assert "Your function changes what it was given" in shown


def test_only_the_learners_folder_can_be_imported(solved):
    solved.write("elsewhere.py", "def double(x):\n    return 2 * x\n")
    body = "def double(x):\n    import elsewhere\n    return elsewhere.double(x)\n"
    solved.write("my/01_first/main.py", with_double(body))
    assert "No module named 'elsewhere'" in solved.check()  # PYTHONPATH and cwd would have it


def test_an_exercise_without_a_check_fails(solved):
    solved.write("exercises/check_01_first.py", "def square(learner, check):\n    pass\n")
    assert "Nothing was checked" in solved.check()


def test_a_result_over_which_the_check_stumbles(solved):
    checks = "def square(learner, check):\n    assert learner.helper.square(1)[0] == 1\n"
    solved.write("exercises/check_01_first.py", checks)
    shown = solved.check()
    assert "TypeError" in shown and "The check stumbled over what your code returned." in shown


# --- progress ---


def test_a_syntax_error_takes_nothing_away(solved):
    solved.check()
    solved.write("my/01_first/main.py", "def double(x:\n")
    shown = solved.check()
    assert "failed  main.py" in shown and "4 of 4 passed" in shown
    assert len(passed(solved)) == 4


@pytest.mark.parametrize("content", ["", "[1, 2]", "{", '{"01_first": 3}',
    '{"01_first": {"passed": {"a": 1}, "hints": [], "predictions": "x", "checked": 5}}',
    '{"01_first": {"passed": [1, "no-such-exercise"], "hints": {"double": "x"}}}',
    '{"01_first": {"explained": [1, ["square"]]}}', '{"01_first": {"explained": "square"}}',
])  # fmt: skip
def test_a_lost_or_broken_progress_file_does_no_harm(solved, content):
    if content:
        solved.write("my/progress.json", content)
    assert solved.learn("check").returncode == 0
    assert solved.learn("hint", "1").returncode == 0
    assert "All 4 exercises" in solved.check()
    assert len(passed(solved)) == 4


def test_the_progress_over_all_stages(project):
    assert "01_first  ░░░░ 0 of 4  to begin: make start 1" in project.learn("check").stdout
    project.solve()
    assert "changed since the last check: make check 1" in project.learn("check").stdout
    project.write("my/01_first/main.py", with_double("def double(x):\n    return x\n"))
    project.check()
    assert "01_first  █░░░ 1 of 4  next: double" in project.learn("check").stdout
    project.solve()
    project.check()
    assert "01_first  ████ 4 of 4  done" in project.learn("check").stdout


def test_progress_keeps_what_other_commands_wrote(solved):
    solved.learn("hint", "1")
    solved.check()
    progress.save(solved.my, "02_second", passed=["x"])
    record = progress.read(solved.my, "02_second")
    assert record.passed == ["x"] and len(passed(solved)) == 4
    assert not list(solved.my.glob("*.part"))


# --- after the last exercise ---


def test_the_learners_own_model_is_trained_once(solved):
    reference = {"loss": {"train": 1.5, "val": 2.25, "test": 3.0}}
    solved.write("results/01_first/result.json", json.dumps(reference))
    done = solved.learn("check", "1")
    assert done.returncode == 0, done.stderr
    assert "trained with ['--steps', '5']" in done.stdout
    assert "It is a smaller or shorter run than the reference" in done.stdout
    assert "make table shows your result, too (with --steps 5)." in done.stdout
    assert "To train the same model as the reference: python my/01_first/main.py" in done.stdout
    assert re.search(r"yours +1\.0000 +2\.0000", done.stdout)
    assert re.search(r"reference +1\.5000 +2\.2500", done.stdout)
    assert json.loads(solved.read("out/my/01_first/result.json"))["loss"]["val"] == 2
    assert "trained with" not in solved.learn("check", "1").stdout


def test_a_folder_outside_of_the_project_trains_on_the_projects_data(solved, tmp_path_factory):
    """The learner's main.py looks for data/ in the folders above it, and finds none."""
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "my"
    solved.my.rename(elsewhere)
    solved.write("results/01_first/result.json", '{"dataset": {"name": "moons"}}')
    assert "with ['--steps', '5']" in solved.learn("check", "1", "--my", elsewhere).stdout
    shutil.rmtree(elsewhere.parent / "out")
    solved.write("results/01_first/result.json", '{"dataset": {"name": "names"}}')
    solved.write("data/names.txt", "emma\n")
    done = solved.learn("check", "1", "--my", elsewhere)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "make table" not in done.stdout  # it looks into out/my/
    data = solved.root / "data" / "names.txt"
    assert f"trained with {[f'--data={data}', '--steps', '5']}" in done.stdout


def test_a_main_that_fails(solved):
    solved.change('    print("trained with", sys.argv[1:-1])\n', "    sys.exit(3)\n")
    done = solved.learn("check", "1")
    assert done.returncode == 3 and "ended with status 3" in done.stdout


# --- time ---


def test_a_failing_first_exercise_is_fast(begun):
    begun.check()
    began = seconds_of_children()
    begun.check()
    assert seconds_of_children() - began < 2


def test_the_lesson_is_read_from_its_file():
    lesson = read_lesson("03_bigram_learned")
    assert lesson.word == "3" and lesson.names[0] == lesson.exercises[0].name
    assert HELPER  # the made-up stage has its own
