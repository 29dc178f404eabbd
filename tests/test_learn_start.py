"""make start: the blank form of a stage, and what never gets lost."""

import ast
import subprocess

import pytest

from learn.exercises import Exercise
from learn.source import blank, function_text, is_blank, put
from learn_project import HELPER, MAIN, begun, project
from stages import ROOT

__all__ = ["begun", "project"]  # fixtures


def exercise(function, inside="", name="it"):
    return Exercise(name, "main.py", function, "task", ("a", "b", "c"), "why", inside)


# --- blanks ---


def test_signature_decorators_and_docstring_stay():
    source = '''@first
@second(3)
def f(
    x,  # (N,)
    y=2,
):  # (N,) -> (N, V)
    """One line.

    And more.
    """
    # a thought
    return x + y  # done
    # the end

# below
z = 3
'''
    assert (
        blank(source, exercise("f"), 4)
        == '''@first
@second(3)
def f(
    x,  # (N,)
    y=2,
):  # (N,) -> (N, V)
    """One line.

    And more.
    """
    raise NotImplementedError("exercise it: make hint 4")

# below
z = 3
'''
    )


@pytest.mark.parametrize(
    "source",
    [
        "def f(x): return x\n",
        "def f(x):\n    return x\n",
        "def f(x):\n    # a comment\n\n    return x\n",
        "def f(x):\n\n    if x:\n        return x\n    return [\n        x\n    ]\n",
    ],
)
def test_a_function_without_docstring(source):
    expected = 'def f(x):\n    raise NotImplementedError("exercise it: make hint 1")\n'
    assert blank(source, exercise("f"), 1) == expected


def test_a_method_is_found_in_its_class_only():
    source = "class A:\n    def f(self): return 1\nclass B:\n    def f(self):\n        return 2\n"
    text = blank(source, exercise("B.f"), 1)
    assert "return 1" in text and "return 2" not in text
    assert '\n        raise NotImplementedError("exercise it' in text


def test_only_the_block_of_a_statement():
    text = blank(MAIN, exercise("Box.total", inside="for x in"), 1)
    expected = """        total = 0
        for x in self.numbers:
            raise NotImplementedError("exercise it: make hint 1")
        return total
"""
    assert expected in text and "so far" not in text


@pytest.mark.parametrize("header", ["for i, (a, b) in x", "for (i, a) in x", 'if x == "a"'])
def test_a_statement_is_found_as_its_source_is_written(header):
    source = f"def f(x):\n    {header}:\n        return 1\n"
    assert "return 1" not in blank(source, exercise("f", inside=header), 1)


@pytest.mark.parametrize("wanted", [exercise("g"), exercise("double", inside="while")])
def test_what_is_not_in_the_source(wanted):
    with pytest.raises(ValueError, match="has no"):
        blank(MAIN, wanted, 1)


def test_blank_is_what_nobody_wrote_in():
    for it in (exercise("double"), exercise("Box.total", inside="for x in")):
        text = blank(MAIN, it, 1)
        raising = 'raise NotImplementedError("exercise it: make hint 1")'
        assert is_blank(text, it) and not is_blank(MAIN, it)
        assert not is_blank(text.replace(raising, f"x = 1  # {raising}"), it)
        assert not is_blank(text.replace(raising, f"x = 1; {raising}"), it)


def test_put_replaces_a_function_with_its_decorators():
    source = "class A:\n    @old\n    def f(self):\n        return 1\n\n    x = 2\n"
    assert put(source, "A.f", "@new\ndef f(self): pass\n") == (
        "class A:\n    @new\n    def f(self): pass\n\n    x = 2\n"
    )
    assert function_text(source, "A.f") == "@old\ndef f(self):\n    return 1\n"
    assert function_text(source, "A.g") == ""


# --- the command ---


def test_start_copies_the_stage_and_blanks_the_exercises(project):
    done = project.learn("start", "01")
    assert done.returncode == 0, done.stderr
    assert "my/01_first is yours now" in done.stdout and "Return twice" not in done.stdout
    assert "Exercise 1 of 4: square" in done.stdout
    main, helper = project.read("my/01_first/main.py"), project.read("my/01_first/helper.py")
    texts = {"double": main, "all-squares": main, "total": main, "square": helper}
    for name, text in texts.items():
        assert text.count(f'raise NotImplementedError("exercise {name}: make hint 1")') == 1
    assert '"""Twice x."""' in main and "# list[n] -> list[n]" in main
    assert "2 * x" not in main and "so far" not in main and "x * x" not in helper
    ast.parse(main)
    assert sorted(p.name for p in (project.my / "01_first").iterdir()) == ["helper.py", "main.py"]


def test_the_list_has_columns_for_a_long_name(project):
    project.change('"all-squares"', '"all-squares-of-a-list"', "exercises/01_first.toml")
    lines = project.learn("start", "1").stdout.splitlines()
    assert "  2  double                 double in main.py" in lines
    assert "  3  all-squares-of-a-list  squares in main.py" in lines


def test_starting_again_overwrites_nothing(begun):
    begun.change('raise NotImplementedError("exercise double: make hint 1")', "return x + x")
    before = begun.read("my/01_first/main.py")
    (begun.my / "01_first" / "helper.py").unlink()
    done = begun.learn("start", "1")
    assert done.returncode == 0
    assert "nothing in it was overwritten" in done.stdout and "helper.py was missing" in done.stdout
    assert begun.read("my/01_first/main.py") == before
    assert "make hint 1" in begun.read("my/01_first/helper.py")


def test_starting_again_says_where_one_is(begun):
    begun.write("my/01_first/helper.py", HELPER)
    begun.learn("check", "1")
    shown = begun.learn("start", "1").stdout
    assert "1 of 4 passed" in shown and "Exercise 2 of 4: double" in shown


@pytest.mark.parametrize(("words", "problem"), [
    (["9"], "there is no stage '9'"),
    (["2"], "stage 2 has no exercises yet"),
    (["1", "--exercise", "nothing"], "has no exercise 'nothing': square, double"),
    ([], "required"),
])  # fmt: skip
def test_what_cannot_be_started(project, words, problem):
    done = project.learn("start", *words)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert problem in done.stderr and not project.my.exists()


# --- one exercise again ---


def test_reset_asks_and_keeps_a_backup(solved_main):
    before = solved_main.read("my/01_first/main.py")
    done = solved_main.learn("start", "1", "--exercise", "double", answers="n\n")
    assert done.returncode == 1 and solved_main.read("my/01_first/main.py") == before
    done = solved_main.learn("start", "1", "--exercise", "double")  # no answer is no
    assert done.returncode == 1 and solved_main.read("my/01_first/main.py") == before
    done = solved_main.learn("start", "1", "--exercise", "double", answers="y\n")
    assert done.returncode == 0
    after = solved_main.read("my/01_first/main.py")
    blank_line = 'raise NotImplementedError("exercise double: make hint 1")'
    assert after == before.replace("return 2 * x", blank_line)
    (backup,) = (solved_main.my / "01_first" / "backups").iterdir()
    assert backup.read_text(encoding="utf-8") == before
    assert f"my/01_first/backups/{backup.name}" in done.stdout
    assert backup.name.startswith("main_20")


@pytest.fixture
def solved_main(begun):
    begun.write("my/01_first/main.py", MAIN)
    return begun


def test_reset_of_a_method(solved_main):
    done = solved_main.learn("start", "1", "--exercise", "total", "--yes")
    assert done.returncode == 0
    text = solved_main.read("my/01_first/main.py")
    assert 'for x in self.numbers:\n            raise NotImplementedError("exercise total' in text


@pytest.mark.parametrize("text", ["def double(x:\n", "x = 1\n"])
def test_reset_in_a_file_where_the_function_cannot_be_found(begun, text):
    begun.write("my/01_first/main.py", text)
    done = begun.learn("start", "1", "--exercise", "double", "--yes")
    assert done.returncode == 2 and "paste it" in done.stderr
    assert "exercise double: make hint 1" in done.stdout  # what to paste
    assert begun.read("my/01_first/main.py") == text


def test_a_fork_can_commit_the_learners_code_but_not_the_backups():
    def ignored(path):
        command = ["git", "check-ignore", "-q", "--no-index", path]
        return subprocess.run(command, cwd=ROOT).returncode == 0

    assert not ignored("my/03_bigram_learned/main.py") and not ignored("my/progress.json")
    assert ignored("my/03_bigram_learned/backups/main_2026-01-31_12.00.00.py")
