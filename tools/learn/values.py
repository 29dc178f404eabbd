"""Compare what a function returned with what was expected, and show both in a line.

Values are numbers, texts, None, tensors of PyTorch, arrays of NumPy, and lists, tuples, sets and
dicts of those. Neither library is imported here: a stage without them is checked without them.
"""

import math
import sys
from typing import NamedTuple

LISTS = ("list", "array of texts", "array of objects")  # whose parts are Frozen
WANTED = {"list": "list or tuple", "array": "array of numbers"}  # kinds in full
LONGEST = 150  # characters of a value on one line
PICTURE = (2, 12, 9)  # rows from, rows to, columns to: the tables that are worth a picture


class Frozen(NamedTuple):
    """A copy of a value that nobody can change, not even through sys._getframe()."""

    kind: str  # "number", "tensor", "list", ...
    parts: object  # for a tensor or an array a flat tuple of numbers, for LISTS a tuple of Frozen
    shape: tuple = ()
    whole: bool = False  # a tensor or an array of whole numbers


def is_tensor(value):
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_array(value):
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray) and value.ndim > 0


def as_number(value):
    """A number of Python for one of Python or NumPy, otherwise None."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and (
        isinstance(value, numpy.generic) or isinstance(value, numpy.ndarray) and value.ndim == 0
    ):
        value = value.item()
    return value if type(value) in (int, float, bool) else None


def freeze(value):
    """A NumPy scalar counts as a number and a tuple as a list."""
    if value is None:
        return Frozen("nothing (None)", None)
    if as_number(value) is not None:
        return Frozen("number", (as_number(value),))
    if is_tensor(value):
        value = value.detach()
        whole = not value.is_floating_point()
        return Frozen("tensor", tuple(value.flatten().tolist()), tuple(value.shape), whole)
    if is_array(value):
        whole, parts = value.dtype.kind in "iub", value.flatten().tolist()
        if value.dtype.kind in "iubfc":
            return Frozen("array", tuple(parts), value.shape, whole)
        kind = "array of texts" if value.dtype.kind in "SU" else "array of objects"
        return Frozen(kind, tuple(map(freeze, parts)), value.shape)
    if type(value) in (list, tuple):
        return Frozen("list", tuple(freeze(part) for part in value))
    if type(value) is dict or isinstance(value, dict):
        items = sorted(value.items(), key=lambda item: repr(item[0]))
        return Frozen("dict", tuple((repr(key), freeze(part)) for key, part in items))
    if type(value) in (set, frozenset):
        return Frozen("set", tuple(sorted(map(repr, value))))
    if type(value) is str:
        return Frozen("text", value)
    return Frozen(type(value).__name__, value)


def form_problem(came, expected):
    """What is wrong with the type or the shape of one Frozen beside another, or ""."""
    if came.kind != expected.kind:
        wanted = WANTED.get(expected.kind, expected.kind)
        return f"{article(came.kind)} came and {article(wanted)} was expected"
    if came.shape != expected.shape:
        return f"the shape is {came.shape} and should be {expected.shape}"
    if came.whole != expected.whole:
        kinds = {True: "whole numbers", False: "floating-point numbers"}
        return f"the {came.kind} holds {kinds[came.whole]} and should hold {kinds[expected.whole]}"
    if came.kind == "list":
        if len(came.parts) != len(expected.parts):
            return f"the list has length {len(came.parts)} and should have {len(expected.parts)}"
        problems = map(form_problem, came.parts, expected.parts)
        found = next(((i, problem) for i, problem in enumerate(problems) if problem), None)
        return f"at index {found[0]}: {found[1]}" if found else ""
    if came.kind == "dict":
        keys, wanted = ({key for key, _ in side.parts} for side in (came, expected))
        if keys != wanted:
            missing, extra = sorted(wanted - keys), sorted(keys - wanted)
            return f"missing keys: {missing[:3]}" if missing else f"unexpected keys: {extra[:3]}"
    return ""


def article(kind):
    if kind.startswith("nothing"):
        return kind
    return f"{'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"


def close(a, b, rtol, atol):
    """Whether two numbers are equal within b's tolerance. Not a number equals itself."""
    if isinstance(a, complex) or isinstance(b, complex):
        return a == b
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    tolerance = atol + rtol * (b if b > 0 else -b)
    return a == b or -tolerance <= a - b <= tolerance < math.inf


def same(came, expected, rtol=0.0, atol=0.0):
    """Whether two Frozen have the same form, and numbers within the tolerance."""
    if form_problem(came, expected):
        return False
    if came.kind in ("number", "tensor", "array"):
        return all(close(a, b, rtol, atol) for a, b in zip(came.parts, expected.parts))
    if came.kind in LISTS:
        return all(same(a, b, rtol, atol) for a, b in zip(came.parts, expected.parts))
    if came.kind == "dict":
        pairs = zip(came.parts, expected.parts)
        return all(same(a, b, rtol, atol) for (_, a), (_, b) in pairs)
    return came.parts == expected.parts


def has_nan(frozen):
    """Whether a value contains nan, which every further computation turns into nan."""
    if frozen.kind in ("number", "tensor", "array"):
        return any(isinstance(x, float) and math.isnan(x) for x in frozen.parts)
    return frozen.kind == "list" and any(map(has_nan, frozen.parts))


# --- showing ---


def show(value, digits=4):
    """A value on one line: [0.6652, 0.2447], tensor([[2, 1, 0]]), "ab", Tokenizer(...)."""
    text = show_whole(value, digits)
    if len(text) <= LONGEST:
        return text
    if is_tensor(value) or is_array(value):
        return summary(value)
    return f"{text[: LONGEST - 4]} ..."


def show_whole(value, digits):
    number = as_number(value)
    if number is not None:
        return show_number(number, digits)
    if is_tensor(value) or is_array(value):
        if math.prod(value.shape) > 100:
            return summary(value)
        name = "tensor" if is_tensor(value) else "array"
        return f"{name}({show_whole(value.tolist(), digits)})"
    if isinstance(value, (list, tuple)):
        inner = ", ".join(show_whole(part, digits) for part in value[:100])
        return f"({inner})" if isinstance(value, tuple) else f"[{inner}]"
    if type(value) is dict:
        items = list(value.items())[:50]
        return "{" + ", ".join(f"{k!r}: {show_whole(v, digits)}" for k, v in items) + "}"
    if value is None or isinstance(value, (str, set, frozenset)):
        return repr(value)
    if callable(value):
        return getattr(value, "__name__", type(value).__name__)
    text = repr(value)
    return text if len(text) <= 40 and not text.startswith("<") else f"{type(value).__name__}(...)"


def show_number(number, digits):
    """Four decimals, or four digits of a number that is tiny or huge."""
    if not isinstance(number, float):
        return str(number)
    if number == 0 or 1e-3 <= abs(number) < 1e6:
        text = f"{number:.{digits}f}"
        return text.rstrip("0") + "0" if text.rstrip("0").endswith(".") else text.rstrip("0")
    return f"{number:.{digits}g}"


def summary(value):
    shape = " x ".join(map(str, value.shape))
    return f"{article('tensor' if is_tensor(value) else 'array')} of {shape} numbers"


def show_both(came, expected):
    """Both values as text, with more digits if they look the same with few.

    Of large tensors of the same shape, the two numbers that differ most.
    """
    for digits in (4, 7, 12):
        texts = show(came, digits), show(expected, digits)
        if texts[0] != texts[1]:
            return texts
    sides = freeze(came), freeze(expected)
    if not all(side.kind in ("tensor", "array") for side in sides) or not sides[0].parts:
        return texts
    distances = [distance(a, b) for a, b in zip(sides[0].parts, sides[1].parts)]
    i = distances.index(max(distances))
    a, b = show_both(sides[0].parts[i], sides[1].parts[i])
    place = f"at index {index_of(i, sides[1].shape)}"
    return f"{a} {place}, where they differ most; {texts[0]}", f"{b} {place}"


def distance(a, b):
    """How far two numbers are apart; infinitely far if only one of them is a number."""
    if math.isnan(a) or math.isnan(b):
        return 0.0 if math.isnan(a) and math.isnan(b) else math.inf
    return 0.0 if a == b else abs(a - b)


def index_of(place, shape):
    """[1, 0, 2], the index of a place in the flattened tensor."""
    index = []
    for size in reversed(shape):
        index.insert(0, place % size)
        place //= size
    return index


def picture(came, expected, rtol, atol):
    """Two small tables of texts, and which cells differ; None if the values are no such tables.

    {"came": rows of texts, "expected": the same, "wrong": rows of booleans}
    """
    both = [value.detach() if is_tensor(value) else value for value in (came, expected)]
    if not all(freeze(value).kind in ("tensor", "array") for value in both):
        return None
    low, high, wide = PICTURE
    shape = tuple(both[1].shape)
    if len(shape) != 2 or tuple(both[0].shape) != shape:
        return None
    if not low <= shape[0] <= high or shape[1] > wide:
        return None
    rows, wanted = both[0].tolist(), both[1].tolist()
    wrong = [
        [not close(a, b, rtol, atol) for a, b in zip(row, other)]
        for row, other in zip(rows, wanted)
    ]
    fixed = any(x != round(x) for row in wanted for x in row if math.isfinite(x))
    return {
        "came": [[cell(x, fixed) for x in row] for row in rows],
        "expected": [[cell(x, fixed) for x in row] for row in wanted],
        "wrong": wrong,
    }


def cell(number, fixed):
    """A number in a picture; fixed: with three decimals, which keeps the points in a line."""
    return f"{number:.3f}" if fixed and not isinstance(number, bool) else show_number(number, 3)


def show_first(came, expected, tables):
    """Two lines on the first number that differs, for tables that are also shown as a picture."""
    flags = tables["wrong"]
    row, column = next((i, j) for i, line in enumerate(flags) for j, bad in enumerate(line) if bad)
    count, total = sum(map(sum, flags)), len(flags) * len(flags[0])
    numbers = show_both(came[row, column].item(), expected[row, column].item())
    place = f"in row {row}, column {column}"
    return f"{numbers[0]} {place}; {count} of {total} numbers differ", f"{numbers[1]} {place}"
