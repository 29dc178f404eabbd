"""What a check function gets as `check`. This text is all you need to write the checks of a stage.

exercises/check_STAGE.py has one function for each exercise of exercises/STAGE.toml. It has the name
of the exercise, with underscores for dashes, and gets the learner's modules and a Check:

    import math

    def softmax(learner, check):
        main = learner.main                      # my/NN/main.py; learner.engine is my/NN/engine.py
        check.forbid("softmax")                  # logits.softmax, F.softmax, ... must not be called
        check.equal(
            main.softmax, ([2.0, 1.0, 0.0],),    # the function and a tuple of its arguments
            [0.665, 0.245, 0.090],               # what it should return, ...
            by="the lesson's example",           # ... where this comes from, shown to the learner
            atol=5e-4,                           # three decimals, as in the lesson
            mistakes={
                "These are the numbers before dividing by their sum.": [7.389, 2.718, 1.0],
                "This is the log of softmax.": lambda z: slow_log_softmax(z),
                "exp overflows: subtract the largest logit first.": OverflowError,
            },
        )

The first check that fails ends the exercise. An exercise has passed when its function returns and
has checked something. Write the checks in this order, from the plain to the deep:

1. the lesson's numbers, worked out by hand: the learner can follow them with pencil and paper;
2. an independent computation: PyTorch in float64, or a slow plain one written in the check file.
   Never the stage's own code, which a test holds to these checks in its turn;
3. properties: nothing overflows, gradients flow, rows add up to 1;
4. last, for what trains or draws: a short run that must land in a wide band. Mind the time: all
   exercises of a stage together take at most 20 seconds, and seconds = 10 (the time limit of one)
   can be raised in the .toml.

check.equal(function, args, expected, mistakes=, by=, rtol=1e-4, atol=1e-6, call=, changes=False)
    Calls function(*args) with deep copies and compares the result with expected. Expected may be a
    function, which is called with copies of the same args. Numbers must be equal within
    atol + rtol * |expected|. A NumPy scalar is as good as a number, and a tuple as a list; a tensor
    is not a list, and an integer tensor not a floating-point one. The arguments must be unchanged
    afterwards, unless changes=True. Returns what the function returned.
    mistakes: {what to say: the wrong result that this mistake gives}. The wrong result may also be
    a function of the same args, or an exception class that the call raises, or an exception such as
    RuntimeError("same dtype"), whose text must occur in the one raised. A function that raises does
    not fit. check.either(a, b) is for a mistake that gives one of several results. The first that
    fits is said. Say what the learner did and what to think about; do not show the solution.
    call: how the call is shown, if its name and arguments say too little; needed with a lambda:
    check.equal(lambda: (a * b).data, (), 6.0, call="(Value(2.0) * Value(3.0)).data")
check.between(function, args, low, high, mistakes=, by=, call=, changes=False)
    The same for a number that must lie in a band. mistakes: {what to say: (low, high) of the wrong
    results}.
check.raises(function, args, error, by=, call=, mistakes=)
    The call must raise this exception class.
check.run(function, args, call=, changes=False, mistakes=)
    Only calls the function, and returns what it returns, for results that take more than one
    comparison: check each of them with equal, between or true. mistakes: exceptions only.
check.true(condition, words, call=, came=, expected=)
    Anything else. words: what to say if the condition is false; the rest are the lines above it.
check.forbid(*names)
    From here on, the learner's code must not call functions of these names, except its own: they do
    the whole exercise. It does not matter how the code gets at them: x.softmax(), F.softmax, an
    alias, or nn.Softmax, which calls F.softmax. Only what is called through `check` is watched.

You may also call the learner's functions directly. If one raises, the learner sees the exception
and the line. What they print is shown only if the exercise fails. Random numbers (random, NumPy,
PyTorch) are seeded before each exercise. Import PyTorch in a check file only if the stage does.
Checks may read data/, but no stage's folder: whatever opens a stage's code is taken for cheating.
"""

import copy
import inspect
import linecache
import re
import traceback
from dataclasses import dataclass
from pathlib import Path

from learn import values
from learn.calls import Calls
from learn.source import MARK

NOTHING_RETURNED = "It returns nothing. Did you print instead of return, or forget the return?"


class Failed(Exception):
    """A check failed. failure: a dict of what to tell the learner, all of it optional.

    call, came, expected, by, line, code, words, picture, traceback, printed, blank.
    """

    def __init__(self, **failure):
        super().__init__(failure.get("words", ""))
        self.failure = failure


@dataclass(frozen=True)
class Either:
    """Several wrong results of the same mistake."""

    results: tuple


class Check:
    """Compares what the learner's functions do with what they should do; see the top of the file.

    count: the number of comparisons so far. doing: what to show if the time is over. forbidden: the
    names of the functions that the learner's code must not call.
    """

    def __init__(self, exercise, folder):
        self.exercise, self.folder, self.count, self.doing = exercise, folder, 0, {}
        self.forbidden = ()

    # --- what check functions call ---

    def equal(
        self, function, args, expected, mistakes=None, by="", rtol=1e-4, atol=1e-6,
        call="", changes=False,
    ):  # fmt: skip
        mistakes, call = mistakes or {}, call or self.show_call(function, args)
        if callable(expected):
            expected = expected(*copy.deepcopy(args))
        wanted, shown = values.freeze(expected), values.show(expected)
        about = {"call": call, "expected": shown, "by": by}
        result = self.guarded(function, args, mistakes, changes, about)
        self.count += 1
        came = values.freeze(result)
        if values.same(came, wanted, rtol, atol):
            return result
        problem = values.form_problem(came, wanted)
        words = self.recognise(came, args, mistakes, rtol, atol) or self.general(came, problem)
        about["came"], about["expected"] = values.show_both(result, expected)
        picture = None if problem else values.picture(result, expected, rtol, atol)
        if picture:
            about["came"], about["expected"] = values.show_first(result, expected, picture)
        raise Failed(**about, words=words, picture=picture)

    def between(self, function, args, low, high, mistakes=None, by="", call="", changes=False):
        mistakes, call = mistakes or {}, call or self.show_call(function, args)
        expected = f"between {values.show(low)} and {values.show(high)}"
        about = {"call": call, "expected": expected, "by": by}
        result = self.guarded(function, args, mistakes, changes, about)
        self.count += 1
        number = values.as_number(result)
        if number is not None and low <= number <= high:
            return result
        words = ""
        if number is None:
            problem = f"{values.article(values.freeze(result).kind)} came and a number was expected"
            words = self.general(values.freeze(result), problem)
        else:
            for message, band in mistakes.items():
                if isinstance(band, tuple) and band[0] <= number <= band[1]:
                    words = message
                    break
        raise Failed(**about, came=values.show(result), words=words)

    def raises(self, function, args, error, by="", call="", mistakes=None):
        call = call or self.show_call(function, args)
        expected = f"{error.__name__} raised"
        self.count += 1
        try:
            result = function(*copy.deepcopy(args))
        except error:
            return
        except Exception as other:
            raise self.raised(other, mistakes or {}, call=call, expected=expected, by=by) from other
        words = self.recognise(values.freeze(result), args, mistakes or {}, 1e-4, 1e-6)
        raise Failed(call=call, came=values.show(result), expected=expected, by=by, words=words)

    def run(self, function, args=(), call="", changes=False, mistakes=None):
        about = {"call": call or self.show_call(function, args)}
        return self.guarded(function, args, mistakes or {}, changes, about)

    def true(self, condition, words, call="", came="", expected=""):
        self.count += 1
        if not condition:
            raise Failed(call=call, came=came, expected=expected, words=words)

    def forbid(self, *names):
        self.forbidden = names

    @staticmethod
    def either(*results):
        return Either(results)

    # --- calling ---

    def guarded(self, function, args, mistakes, changes, about):
        """Call the function with deep copies of args, and turn what goes wrong into a Failed."""
        self.doing = about
        given = copy.deepcopy(args)
        before = values.freeze(given)
        calls = Calls(self.forbidden, self.folder)
        try:
            with calls:
                result = function(*given)
        except (Exception, SystemExit) as error:
            self.refuse(calls.found, about)
            raise self.raised(error, mistakes, **about) from error
        self.refuse(calls.found, about)
        if not changes and not values.same(values.freeze(given), before):
            places = enumerate(zip(given, args), 1)
            place = next(i for i, (a, b) in places if not values.same(*map(values.freeze, (a, b))))
            came = f"argument {place} was changed to {values.show(given[place - 1])}"
            words = "Your function changes what it was given, and the caller still needs that."
            expected = "unchanged arguments"
            raise Failed(call=about["call"], came=came, expected=expected, words=words)
        return result

    def refuse(self, found, about):
        """Failed if a forbidden function was called. found: its name, the file and the line."""
        if found:
            name, file, number = found
            code = linecache.getline(str(self.folder / file), number).strip()
            words = f"The library's {name} does the whole exercise for you. Write it out."
            line = self.line(number, file)
            raise Failed(call=about["call"], line=line, code=code, words=words)

    def raised(self, error, mistakes, **about):
        """The Failed for an exception that came out of the learner's code."""
        words = blank_words(error, self.exercise)
        for message, wrong in each_mistake(mistakes):
            kind = wrong if inspect.isclass(wrong) else type(wrong)
            is_error = issubclass(kind, BaseException) and isinstance(error, kind)
            if not words and is_error and (kind is wrong or says(error, wrong)):
                words = message
        if isinstance(error, SystemExit):
            words = words or "Your code ended the program: take out exit() or sys.exit()."
        return Failed(
            **{"came": describe(error), **about}, words=words, line=self.line_of(error),
            traceback=learner_traceback(error, self.folder),
        )  # fmt: skip

    def recognise(self, came, args, mistakes, rtol, atol):
        """What to say about the first known mistake that gives this result, or ""."""
        for message, wrong in each_mistake(mistakes):
            if inspect.isclass(wrong) or isinstance(wrong, BaseException):
                continue
            try:
                wrong = wrong(*copy.deepcopy(args)) if callable(wrong) else wrong
            except Exception:
                continue  # the mistake would raise for these arguments, and this result did not
            if values.same(came, values.freeze(wrong), rtol, atol):
                return message
        return ""

    def general(self, came, problem):
        """What to say about a wrong result that is not a known mistake."""
        if came.kind.startswith("nothing"):
            return NOTHING_RETURNED
        if problem:
            return problem[0].upper() + problem[1:] + "."
        if values.has_nan(came):
            return "nan means: not a number, such as 0 / 0 or inf - inf."
        return ""

    def show_call(self, function, args):
        name = getattr(function, "__name__", "<")
        name = self.exercise.function if name.startswith("<") else name
        text = f"{name}({', '.join(map(values.show, args))})"
        return text if len(text) <= values.LONGEST else f"{text[: values.LONGEST - 5]} ...)"

    # --- lines ---

    def line(self, number, file=None):
        """main.py:58, which the parent puts behind the folder."""
        return f"{file or self.exercise.file}:{number}"

    def line_of(self, error):
        """The innermost line of the learner's code that the exception passed through, or ""."""
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if Path(frame.filename).parent == self.folder]
        return self.line(own[-1].lineno, Path(own[-1].filename).name) if own else ""


def each_mistake(mistakes):
    """Yield (message, wrong result) of {message: wrong result or Either}."""
    for message, wrong in mistakes.items():
        for result in wrong.results if isinstance(wrong, Either) else (wrong,):
            yield message, result


def says(error, wrong):
    """Whether the text of the exception wrong occurs in error. str() puts KeyErrors in quotes."""
    text = " ".join(map(str, wrong.args))
    return text in " ".join(map(str, error.args)) or text in str(error)


def describe(error):
    """IndexError: list index out of range. Only the first line of a long message."""
    text = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def blank_words(error, exercise):
    """What to say if the exception comes from a function that is still blank, or ""."""
    mark = re.match(MARK.format(name="(.+)", number=""), str(error))
    if not isinstance(error, NotImplementedError) or not mark:
        return ""  # PyTorch raises a NotImplementedError as well
    if mark[1] != exercise.name:
        return f"Your code calls the function of exercise {mark[1]}, which is not written yet."
    return f"{exercise.function} is not written yet."


def learner_traceback(error, folder):
    """The traceback from the learner's first line on, without the checker's own frames."""
    trace = error.__traceback__
    while trace and Path(trace.tb_frame.f_code.co_filename).parent != folder:
        trace = trace.tb_next
    lines = traceback.format_exception(type(error), error, trace or error.__traceback__)
    return "".join(lines)
