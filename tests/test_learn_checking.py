"""The comparisons that check functions use: what is equal, what is not, and what is said."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from learn import calls, values
from learn.checking import Check, Failed
from learn.exercises import Exercise


@pytest.fixture
def check(tmp_path):
    exercise = Exercise("double", "main.py", "double", "task", ("a", "b", "c"), "why")
    return Check(exercise, tmp_path)


def failure(check_it, *args, **more):
    with pytest.raises(Failed) as caught:
        check_it(*args, **more)
    return caught.value.failure


def same(came, expected, **tolerance):
    return values.same(values.freeze(came), values.freeze(expected), **tolerance)


# --- values ---

EQUAL = [
    (1, 1.0), (np.float64(2.5), 2.5), (np.int64(3), 3), (np.array(4.0), 4.0), (True, 1),
    ((1, 2), [1, 2]), ([1, (2, [3])], (1, [2, (3,)])), ("ab", "ab"), (None, None),
    ({"a": 1, "b": [2]}, {"b": (2,), "a": 1.0}), ({1, 2}, {2, 1}), (math.inf, math.inf),
    (math.nan, math.nan), (torch.tensor([1.0]), torch.tensor([1.0], dtype=torch.float64)),
    (torch.tensor([1]), torch.tensor([1], dtype=torch.int32)), (np.array([1, 2]), np.array([1, 2])),
    (torch.ones(2, requires_grad=True), torch.ones(2)), ([np.float32(1.5)], [1.5]), ([], ()),
    (np.array(["a", "b"]), np.array(["a", "b"])), (np.array([None, 1]), np.array([None, 1.0])),
]  # fmt: skip
DIFFERENT = [
    (1, 2, ""), (1, "1", "a number came and a text"), (None, 0, "nothing (None) came"),
    ([1], [1, 2], "length 1 and should have 2"), ([1, [2]], [1, ["2"]], "at index 1: at index 0"),
    (torch.ones(2), torch.ones(3), "the shape is (2,) and should be (3,)"),
    (torch.ones(2), [1.0, 1.0], "a tensor came and a list or tuple was expected"),
    ([1.0], np.ones(1), "a list came and an array of numbers was expected"),
    (torch.tensor(1.0), 1.0, "a tensor came and a number"), (1.0, torch.tensor(1.0), "a number"),
    (torch.ones(2), torch.ones(2).long(), "floating-point numbers and should hold whole numbers"),
    ({"a": 1}, {"a": 1, "b": 2}, "missing keys: [\"'b'\"]"), ({"a": 1}, {}, "unexpected keys"),
    (math.nan, 1.0, ""), (math.inf, 1e308, ""), (math.inf, -math.inf, ""), ({1}, {2}, ""),
    (torch.tensor([1.0, math.nan]), torch.ones(2), ""), ([1, 2], [2, 1], ""), ("a", "b", ""),
    (np.array(["a"]), np.ones(1), "an array of texts came and an array of numbers was"),
    (np.array([None]), np.ones(1), "an array of objects"), (np.array(["a"]), np.array(["b"]), ""),
]  # fmt: skip


@pytest.mark.parametrize(("came", "expected"), EQUAL)
def test_equal_values(came, expected):
    assert same(came, expected)


@pytest.mark.parametrize(("came", "expected", "problem"), DIFFERENT)
def test_different_values(came, expected, problem):
    assert not same(came, expected, rtol=1e-4, atol=1e-6)
    found = values.form_problem(values.freeze(came), values.freeze(expected))
    assert problem in found if problem else found == ""


def test_tolerance():
    assert same(1.001, 1, atol=0.002) and not same(1.003, 1, atol=0.002)
    assert same(1010, 1000, rtol=0.011) and not same(1012, 1000, rtol=0.011)
    assert not same(1.0, math.inf, rtol=0.5) and not same(-1e308, math.inf, rtol=0.5)
    assert same([[0.1 + 0.2]], [[0.3]], rtol=1e-12) and not same([[0.1 + 0.2]], [[0.3]])


def test_frozen_values_cannot_be_changed():
    tensor = torch.ones(2)
    frozen = values.freeze([tensor])
    tensor += 1
    assert frozen == values.freeze([torch.ones(2)])
    with pytest.raises(AttributeError):
        object.__setattr__(frozen, "parts", ())


SHOWN = [
    (0.66524, "0.6652"), (2.0, "2.0"), (3, "3"), (1e-5, "1e-05"), (1234567.0, "1.235e+06"),
    (-0.5, "-0.5"), (math.nan, "nan"), ("ab", "'ab'"), (None, "None"), ([1, 2.5], "[1, 2.5]"),
    ((1, "a"), "(1, 'a')"), (torch.tensor([[1.0, 0.33333]]), "tensor([[1.0, 0.3333]])"),
    (np.array([1, 2]), "array([1, 2])"), (torch.zeros(30, 40), "a tensor of 30 x 40 numbers"),
    ({"a": 0.123456}, "{'a': 0.1235}"), (abs, "abs"), (object(), "object(...)"), (True, "True"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "text"), SHOWN)
def test_values_on_a_line(value, text):
    assert values.show(value) == text


def test_long_values_are_cut():
    assert len(values.show("x" * 1000)) == values.LONGEST
    assert len(values.show(list(range(10_000)))) == values.LONGEST


def test_a_picture_shows_which_numbers_differ():
    came, expected = torch.eye(3), torch.eye(3)
    came[0, 2] = 0.25
    tables = values.picture(came, expected, 0, 0)
    assert tables["came"][0] == ["1.0", "0.0", "0.25"]
    assert tables["expected"][0] == ["1.0", "0.0", "0.0"]
    assert tables["wrong"] == [[False, False, True], [False] * 3, [False] * 3]
    assert values.show_first(came, expected, tables) == (
        "0.25 in row 0, column 2; 1 of 9 numbers differ", "0.0 in row 0, column 2",
    )  # fmt: skip
    assert values.picture(torch.ones(1, 3), torch.ones(1, 3), 0, 0) is None
    assert values.picture(torch.ones(20, 3), torch.ones(20, 3), 0, 0) is None
    assert values.picture(torch.ones(3), torch.ones(3), 0, 0) is None
    assert values.picture(np.full((2, 2), "a"), np.full((2, 2), "b"), 0, 0) is None


def test_large_tensors_are_shown_by_the_numbers_that_differ_most():
    came, expected = torch.zeros(2, 3, 20), torch.zeros(2, 3, 20)
    came[0, 1, 2], came[1, 0, 19] = 0.25, -1.5
    shown = (
        "-1.5 at index [1, 0, 19], where they differ most; a tensor of 2 x 3 x 20 numbers",
        "0.0 at index [1, 0, 19]",
    )
    assert values.show_both(came, expected) == shown
    came[1, 2, 3] = math.nan
    assert values.show_both(came, expected)[0].startswith("nan at index [1, 2, 3]")
    texts = np.full(200, "a")
    assert values.show_both(texts, texts)[0] == "an array of 200 numbers"
    assert values.show_both(torch.zeros(0, 30), torch.zeros(0, 30))[0]


# --- equal ---


def test_equal_returns_the_result_and_counts(check):
    assert check.equal(lambda x: 2 * x, (3,), 6) == 6
    assert check.equal(lambda x: [x], (1,), lambda x: (x,)) == [1]
    assert check.count == 2


def test_equal_says_what_came(check):
    found = failure(check.equal, lambda x: 3 * x, (2,), 4, by="by hand")
    assert (found["call"], found["came"], found["expected"]) == ("double(2)", "6", "4")
    assert found["by"] == "by hand" and found["words"] == ""
    found = failure(check.equal, math.sqrt, (16,), 5)
    assert (found["call"], found["came"]) == ("sqrt(16)", "4.0")
    assert (
        failure(check.equal, math.sqrt, (16,), 5, call="the root of 16")["call"] == "the root of 16"
    )


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (9, "a value"),
        (lambda x: x * x, "a function"),
        (Check.either(1, lambda x: 9), "one of several"),
        (Check.either(lambda x: x.T, lambda x: [][x], lambda x: 9), "some fail"),
    ],
)
def test_known_mistakes(check, wrong, words):
    mistakes = {"no": 7, "no, too": ValueError, "fails": lambda x: x // 0, words: wrong, "late": 9}
    assert failure(check.equal, lambda x: x * x, (3,), 6, mistakes=mistakes)["words"] == words


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (IndexError, "the class"),
        (LookupError, "a class above"),
        (IndexError("out of range"), "part of its text"),
        (Check.either(KeyError, IndexError), "one of several"),
    ],
)
def test_mistakes_that_raise(check, wrong, words):
    mistakes = {"no": 7, "another": KeyError, "other text": IndexError("empty"), words: wrong}
    found = failure(check.equal, lambda x: x[5], ([],), 6, mistakes=mistakes)
    assert found["words"] == words and found["came"] == "IndexError: list index out of range"


def test_a_mistake_with_a_key_error(check):
    mistakes = {"another": KeyError("no such b"), "known": KeyError("no such a")}
    mistakes["a pair"] = KeyError((3, "c"))
    keys = {"no such a": "known", "there is no such a": "known", "c": "", (3, "c"): "a pair"}
    for key, words in keys.items():
        found = failure(check.equal, lambda k: {}[k], (key,), 6, mistakes=mistakes)
        assert found["words"] == words


def test_only_the_mark_of_the_blank_is_not_written(check):
    def fail(text):
        raise NotImplementedError(text)

    mistakes = {"one_hot wants whole numbers": NotImplementedError("aten::")}
    for text, words in {
        "exercise double: make hint 3": "double is not written yet.",
        "exercise all-of-it: make hint 3": "Your code calls the function of exercise all-of-it,",
        "Could not run aten::one_hot": "one_hot wants whole numbers",
    }.items():
        assert failure(check.equal, fail, (text,), 6, mistakes=mistakes)["words"].startswith(words)
    for text in ("", "exercise", "exercise double", "later"):
        assert failure(check.equal, fail, (text,), 6)["words"] == ""


def test_a_mistake_whose_form_is_wrong(check):
    mistakes = {"a list": [1, 2], "transposed": lambda x: x.T}
    assert failure(check.equal, list, ((1, 2),), 3, mistakes=mistakes)["words"] == "a list"
    x = torch.ones(2, 3)
    assert failure(check.equal, lambda x: x.T, (x,), x, mistakes=mistakes)["words"] == "transposed"


def test_the_arguments_must_stay(check):
    found = failure(check.equal, lambda x: x.append(1) or 0, ([2],), 0)
    assert found["came"] == "argument 1 was changed to [2, 1]"
    found = failure(
        check.equal, lambda a, b: b.add_(1).sum(), (1, torch.zeros(2)), torch.tensor(2.0)
    )
    assert found["came"] == "argument 2 was changed to tensor([1.0, 1.0])"
    given = [2]
    check.equal(lambda x: x.append(1) or 0, (given,), 0, changes=True)
    assert given == [2]  # the function got a copy


def test_arguments_with_nan_count_as_unchanged(check):
    check.equal(lambda x: 0, (torch.tensor([math.nan]),), 0)


def test_the_expected_value_cannot_be_changed_through_the_arguments(check):
    given = torch.ones(2)
    assert "changed" in failure(check.equal, lambda x: x.mul_(2), (given,), given)["came"]
    assert given.tolist() == [1, 1]


# --- the others ---


def test_between(check):
    assert check.between(lambda: 0.5, (), 0, 1) == 0.5
    mistakes = {"low": (-2, -1), "high": (1, 3)}
    found = failure(check.between, lambda: 2.0, (), 0, 1, mistakes=mistakes)
    assert (found["came"], found["expected"], found["words"]) == ("2.0", "between 0 and 1", "high")
    assert failure(check.between, lambda: math.nan, (), 0, 1)["came"] == "nan"
    assert "print instead" in failure(check.between, lambda: None, (), 0, 1)["words"]
    assert "a text came" in failure(check.between, lambda: "1", (), 0, 1)["words"].lower()


def test_raises(check):
    check.raises(int, ("x",), ValueError)
    found = failure(check.raises, int, ("1",), ValueError, mistakes={"one": 1})
    assert found["expected"] == "ValueError raised" and found["words"] == "one"
    assert failure(check.raises, int, ([],), ValueError)["came"].startswith("TypeError")


def test_true_and_run(check):
    check.true(1 < 2, "never said")
    found = failure(check.true, False, "said", call="f(1)", came="2", expected="3")
    assert found == {"call": "f(1)", "came": "2", "expected": "3", "words": "said"}
    assert check.run(lambda x: x + 1, (1,)) == 2
    assert failure(check.run, lambda: 1 / 0)["came"] == "ZeroDivisionError: division by zero"
    assert check.count == 2  # run() compares nothing


SHORTCUTS = """\
import functools

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.functional import softmax as s


def function(x): return F.softmax(x, dim=0)
def method(x): return x.softmax(0)
def of_torch(x): return torch.softmax(x, 0)
def special(x): return torch.special.softmax(x, 0)
def alias(x): return s(x, dim=0)
def by_text(x): return getattr(F, "soft" + "max")(x, dim=0)
def module(x): return nn.Softmax(dim=0)(x)
def partial(x): return functools.partial(s, dim=0)(x)
def helper(x): return alias(x)
def mapped(x): return next(map(alias, [x]))
def swallowed(x):
    try:
        return F.softmax(x, dim=7)
    except IndexError:
        return x.exp() / x.exp().sum()
def raising(x): return F.softmax(x, dim=7)


def softmax(x): return x.exp() / x.exp().sum()
def own(x): return softmax(x)
def named(x):
    softmax = "F.softmax(x)"  # softmax(x)
    return x.exp() / x.exp().sum()
def another(x): return x.log_softmax(0).exp()
def given(x, call): return call(x)
"""


@pytest.fixture
def shortcuts(tmp_path):
    """The functions of SHORTCUTS, as a module in the learner's folder."""
    path = tmp_path / "main.py"
    path.write_text(SHORTCUTS, encoding="utf-8")
    module = {}
    exec(compile(SHORTCUTS, str(path), "exec"), module)
    return module


@pytest.mark.parametrize("way", [
    "function", "method", "of_torch", "special", "alias", "by_text", "module", "partial", "helper",
    "mapped", "swallowed", "raising",
])  # fmt: skip
def test_a_forbidden_function_is_seen_when_it_is_called(check, shortcuts, way):
    x = torch.tensor([2.0, 1.0, 0.0])
    if way != "raising":
        check.equal(shortcuts[way], (x,), lambda x: x.softmax(0))
    check.forbid("log_softmax", "softmax")
    found = failure(check.equal, shortcuts[way], (x,), lambda x: x.softmax(0))
    assert found["words"] == "The library's softmax does the whole exercise for you. Write it out."
    wanted = "alias" if way in ("helper", "mapped") else way
    lines = SHORTCUTS.splitlines()
    number = next(i for i, line in enumerate(lines, 1) if line.startswith(f"def {wanted}("))
    number += 2 if way == "swallowed" else 0
    assert found["line"] == f"main.py:{number}" and found["code"] == lines[number - 1].strip()
    assert found["call"].startswith(way) and sys.getprofile() is None


@pytest.mark.parametrize("way", ["softmax", "own", "named", "another"])
def test_what_is_not_forbidden_passes(check, shortcuts, way):
    """An own function of that name, the name alone, and another function."""
    check.forbid("softmax")
    check.equal(shortcuts[way], (torch.tensor([2.0, 1.0]),), lambda x: x.softmax(0))


def test_what_the_check_calls_is_not_the_learners(check, shortcuts, monkeypatch):
    monkeypatch.setattr(calls, "FOLDER", Path(__file__).parent)
    check.forbid("softmax")
    x = torch.tensor([2.0, 1.0])
    check.equal(lambda: shortcuts["own"](x) - x.softmax(0), (), torch.zeros(2), call="own")
    check.run(shortcuts["given"], (x, lambda x: x.softmax(0)), call="given")


def test_another_profile_function_comes_back(check):
    def profile(*args):
        pass

    sys.setprofile(profile)
    try:
        check.forbid("softmax")
        check.run(lambda: 1, call="one")
        assert sys.getprofile() is profile
    finally:
        sys.setprofile(None)
